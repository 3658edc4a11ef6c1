import hashlib
import zlib

import numpy as np
import pytest
from small_store import clip_of, new_store

from mgjax.store import Clips, Store, Videos


def test_a_long_table_is_cut():
    many = Clips.of({"video": range(7), "start": [0] * 7, "length": [1] * 7, "label": [-1] * 7})
    lines = repr(many).splitlines()
    assert lines[0] == "Clips, 7 rows" and len(lines) == 2 + 5 + 1
    assert lines[-2:] == ["  4      4      0       1     -1", "..."]
    one = {"start": [0], "length": [1], "fps": [0], "width": [0], "height": [0]}
    texts = {"id": ["a\n" * 50], "subject": [""], "emotion": [""]}
    head, _, row = repr(Videos.of(one | texts)).splitlines()
    assert head == "Videos, 1 row" and len(row) < 100
    none = Clips.of({name: [] for name in Clips.columns()})
    assert repr(none).splitlines() == ["Clips, 0 rows", "row  video  start  length  label"]


@pytest.mark.parametrize("table", [Videos, Clips])
def test_the_meaning_of_every_column_is_said(table):
    said = [line.strip().partition(": ")[0] for line in table.__doc__.splitlines()]
    assert [name for name in said if name in table.columns()] == list(table.columns())


def test_the_digest_does_not_depend_on_how_frames_are_cut_into_videos(tmp_path):
    keypoints, score = clip_of(20_000, 0)
    digests = set()
    for length in (20_000, 5_000, 1_250, 1_024 // 4):
        path = tmp_path / "s.h5"
        with new_store(path, frames=20_000) as writer:
            for start in range(0, 20_000, length):  # the last video is shorter where it must be
                part = slice(start, start + length)
                writer.add_video(str(start), keypoints[part], score[part])
        with Store(tmp_path / "s.h5") as store:
            digests.add(store.frames_digest)
    sums = [
        zlib.crc32(values[start : start + 1024].tobytes())
        for start in range(0, 20_000, 1024)
        for values in (keypoints, score)
    ]
    assert digests == {hashlib.sha256(np.array(sums, "<u4").tobytes()).hexdigest()}
