import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from data_prep import annotations, gesture_agreement
from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.protocols import IMIGUE_CLASSES
from mgjax.store import StoreWriter


def table(path, *rows, header="video,start,stop,label"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_by_hand():
    # rub: frames 0-9 against 0-4 share 5 of 10, just enough. touch: 20-29 against 26-35 share 4
    # of 16, too few.
    first = {"v": [(0, 10, "rub"), (20, 30, "touch")], "w": [(0, 4, "rub")]}
    second = {"v": [(0, 5, "rub"), (26, 36, "touch"), (50, 60, "nod")], "w": [(0, 4, "touch")]}
    found = gesture_agreement.agreement(first, second)
    assert [found["overall"][name] for name in ("first", "second", "matched", "R")] == [
        3,
        4,
        1,
        2 / 7,
    ]
    rows = {
        label: (row["first"], row["second"], row["matched"], row["R"])
        for label, row in found["classes"].items()
    }
    assert rows == {
        "nod": (0, 1, 0, 0),
        "rub": (2, 1, 1, 2 / 3),
        "touch": (1, 2, 0, 0),
        "none": (0, 0, 0, None),
    }
    assert {video: row["R"] for video, row in found["videos"].items()} == {"v": 2 / 5, "w": 0}
    assert gesture_agreement.agreement(first, second, overlap=0.51)["overall"]["matched"] == 0
    assert gesture_agreement.agreement(first, second, overlap=0.25)["overall"]["matched"] == 2
    # Frames of v: rub-rub 5, rub-none 5, touch-none 6, touch-touch 4, none-touch 6, none-nod 10,
    # none-none 24; of w: rub-touch 4. Agreed in 33 of 64; by chance (14·5 + 10·14 + 40·35 + 0·10)
    # / 64².
    chance = (14 * 5 + 10 * 14 + 40 * 35) / 64**2
    assert found["overall"]["frames"] == 64
    assert found["overall"]["kappa"] == pytest.approx((33 / 64 - chance) / (1 - chance))
    # rub against the rest: both 5, first alone 9, second alone 0, neither 50.
    chance = (14 * 5 + 50 * 59) / 64**2
    assert found["classes"]["rub"]["frames"] == 14
    assert found["classes"]["rub"]["kappa"] == pytest.approx((55 / 64 - chance) / (1 - chance))


def test_pairs_are_the_most_that_fit():
    # The closest pair, frames 10-29 against 12-31, leaves the other two gestures without a partner.
    first, second = np.array([[0, 22], [10, 30]]), np.array([[12, 32], [15, 47]])
    assert gesture_agreement.matched(first, second, 0.3) == 2
    assert gesture_agreement.matched(first[1:], second[:1], 0.8) == 1
    # One long gesture cut into two by the other annotator is found once, not twice.
    assert gesture_agreement.matched(np.array([[0, 20]]), np.array([[0, 10], [10, 20]]), 0.5) == 1


def test_pairs_against_every_way_to_pair():
    rng = np.random.default_rng(0)
    for _ in range(60):
        start = rng.integers(0, 20, (2, 4))
        sides = np.stack([start, start + rng.integers(1, 15, (2, 4))], -1)
        frames = [[set(range(*gesture)) for gesture in side] for side in sides]
        most = max(
            sum(len(a & b) >= 0.4 * len(a | b) for a, b in zip(frames[0], second))
            for second in itertools.permutations(frames[1])
        )
        assert gesture_agreement.matched(*sides, 0.4) == most


@pytest.mark.parametrize("known_lengths", [False, True])
def test_kappa_is_that_of_scikit_learn(known_lengths):
    rng = np.random.default_rng(1)
    names = {"v1": 300, "v2": 200, "v3": 250}

    def annotation():
        return {
            video: [
                (start, start + int(rng.integers(1, 12)), "abc"[rng.integers(3)])
                for start in range(0, frames - 20, 15)
            ]
            for video, frames in names.items()
        }

    first = annotation()
    # The second agrees with the first in most gestures, and now and then says another class.
    second = {
        video: [(a, b, label if rng.random() < 0.8 else "c") for a, b, label in gestures]
        for video, gestures in first.items()
    }
    second["v2"] = annotation()["v2"]
    found = gesture_agreement.agreement(first, second, lengths=names if known_lengths else None)
    frames = [[], []]
    for video in names:
        last = (
            names[video]
            if known_lengths
            else max(stop for side in (first, second) for _, stop, _ in side[video])
        )
        for side, said in zip((first, second), frames):
            classes = ["none"] * last
            for start, stop, label in side[video]:
                classes[start:stop] = [label] * (stop - start)
            said += classes
    assert found["overall"]["frames"] == len(frames[0])
    assert found["overall"]["kappa"] == pytest.approx(cohen_kappa_score(*frames), abs=1e-12)
    assert list(found["classes"]) == ["a", "b", "c", "none"]
    for label, row in found["classes"].items():
        of_class = [[said == label for said in side] for side in frames]
        assert row["kappa"] == pytest.approx(cohen_kappa_score(*of_class), abs=1e-12)


def test_overlapping_gestures_of_one_annotator():
    numbers = {"a": 1, "b": 2, "c": 3}
    gestures = [(0, 8, "a"), (2, 4, "b"), (6, 10, "c")]
    wanted = [1, 1, 2, 2, 1, 1, 3, 3, 3, 3, 0]
    for order in itertools.permutations(gestures):
        assert gesture_agreement.by_frame(order, numbers, 11).tolist() == wanted
    # Begun together: the shortest; of the same length: the last by name.
    assert gesture_agreement.by_frame([(0, 2, "b"), (0, 4, "a")], numbers, 4).tolist() == [
        2,
        2,
        1,
        1,
    ]
    assert gesture_agreement.by_frame([(0, 2, "b"), (0, 2, "a")], numbers, 2).tolist() == [2, 2]


def test_nothing_to_compare_is_none():
    assert (
        gesture_agreement.kappa(np.zeros((2, 2))) is None
        and gesture_agreement.kappa(np.diag([7, 0])) is None
    )
    assert gesture_agreement.kappa(np.diag([7, 1])) == 1
    both = gesture_agreement.agreement({"v": [(0, 5, "a")]}, {"v": [(0, 5, "a")]})
    assert both["overall"] == {
        "first": 1,
        "second": 1,
        "matched": 1,
        "R": 1,
        "frames": 5,
        "kappa": None,
    }
    assert "–" in str(gesture_agreement.tables(both)[0])


def test_videos_of_one_annotator():
    first, second = {"v": [(0, 5, "a")], "w": [(0, 5, "a")]}, {"v": [(0, 5, "a")]}
    found = gesture_agreement.agreement(first, second)
    assert found["overall"]["R"] == 2 / 3 and found["one_sided"] == ["w"]
    found = gesture_agreement.agreement(first, second, only_both=True)
    assert found["overall"]["R"] == 1 and list(found["videos"]) == ["v"]
    # A label file without a gesture was watched.
    assert (
        gesture_agreement.agreement(first, second | {"w": []}, only_both=True)["overall"]["R"]
        == 2 / 3
    )


def test_label_files_and_a_table_say_the_same(tmp_path):
    folder = tmp_path / "anna"
    folder.mkdir()
    table(folder / "187_label.csv", "9,0,24", "99,30,30", header="label,start,end")
    table(folder / "0188_label.csv", header="label,start,end")
    found = annotations.read_annotation(folder)
    assert found == {"0187": [(0, 25, "touching ears"), (30, 31, IMIGUE_CLASSES[31])], "0188": []}
    again = annotations.read_annotation(
        table(tmp_path / "ben.csv", "0187,0,25,touching ears", f"0187,30,31,{IMIGUE_CLASSES[31]}")
    )
    result = gesture_agreement.agreement(found, again)
    assert (
        result["overall"]["R"] == 1
        and result["overall"]["kappa"] == 1
        and result["one_sided"] == ["0188"]
    )
    assert list(result["classes"]) == ["touching ears", "illustrative body language", "none"]


def test_lengths(tmp_path):
    lengths = {"0001": 9, "0002": 30}
    with StoreWriter(
        tmp_path / "store.h5", skeleton.KINECT_20, unit="metre", frames=39, source="nobody"
    ) as writer:
        for id, frames in lengths.items():
            writer.add_video(id, np.ones((frames, 20, 3)), np.ones((frames, 20)))
    assert annotations.store_lengths(tmp_path / "store.h5") == lengths
    rows = [f"{id},{frames}" for id, frames in lengths.items()]
    assert (
        annotations.read_lengths(table(tmp_path / "videos.csv", *rows, header="id,frames"))
        == lengths
    )
    gestures = {"0001": [(0, 5, "a")]}
    assert gesture_agreement.agreement(gestures, gestures, lengths=lengths)["overall"] == {
        "first": 1,
        "second": 1,
        "matched": 1,
        "R": 1,
        "frames": 9,
        "kappa": 1,
    }
    for rows, words in (
        (["v,x"], "frames is 'x'"),
        (["v,10", "v,10"], "line 3: video 'v' is there twice"),
    ):
        with pytest.raises(InputError, match=words):
            annotations.read_lengths(table(tmp_path / "bad.csv", *rows, header="id,frames"))
    with pytest.raises(
        InputError, match="video 'v' is annotated, but its number of frames is not given"
    ):
        gesture_agreement.agreement({"v": [(0, 5, "a")]}, gestures, lengths=lengths)
    with pytest.raises(InputError, match="has 4 frames, but a gesture ends with frame 4"):
        gesture_agreement.agreement(gestures, gestures, lengths={"0001": 4})


def test_long_videos_take_no_memory_and_many_gestures_are_refused(tmp_path):
    last = annotations.LONGEST
    gestures = {f"v{number}": [(0, 5, "a"), (last - 5, last, "b")] for number in range(300)}
    found = gesture_agreement.agreement(gestures, gestures)  # 300 videos of ten million frames each
    assert found["overall"]["frames"] == 300 * last
    assert found["classes"]["none"]["frames"] == 300 * (last - 10)
    assert found["overall"]["kappa"] == 1
    rows = [f"v,{start},{start + 1},a" for start in range(annotations.MOST + 1)]
    with pytest.raises(InputError, match="line 4002: video 'v' has more than 4000 gestures"):
        annotations.read_annotation(table(tmp_path / "clips.csv", *rows))
    many = {"v": [(number, number + 1, f"class {number}") for number in range(600)]}
    with pytest.raises(InputError, match="there are 600 classes, expected at most 500"):
        gesture_agreement.agreement(many, many)


def test_as_many_gestures_as_may_be():
    """Pairs are found in seconds, however many fit."""
    rng = np.random.default_rng(0)
    start = np.sort(rng.integers(0, 20_000, (2, annotations.MOST)))
    first, second = np.stack([start, start + 200], -1)
    assert gesture_agreement.matched(first, second, 0.3) > 3000


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match="no file in this folder ends in _label.csv"):
        annotations.read_annotation(tmp_path)
    for name in ("1_label.csv", "0001_label.csv"):
        (tmp_path / name).write_text("label,start,end\n")
    with pytest.raises(
        InputError, match="1_label.csv: video 0001 is there already, as .*0001_label.csv"
    ):
        annotations.read_annotation(tmp_path)
    with pytest.raises(InputError, match="none.csv: cannot be read"):
        annotations.read_annotation(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no gesture to compare in videos that both annotated"):
        gesture_agreement.agreement({"v": [(0, 5, "a")]}, {"w": [(0, 5, "a")]}, only_both=True)
    for overlap in (0, 1.1):
        with pytest.raises(InputError, match="overlap is"):
            gesture_agreement.agreement({"v": [(0, 5, "a")]}, {}, overlap=overlap)


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, str(root / "data_prep" / "agreement.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_script(root, tmp_path):
    first = table(tmp_path / "first.csv", "v,0,10,rub", "v,20,30,touch")
    second = table(tmp_path / "second.csv", "v,0,9,rub")
    done = run(root, "--first", first, "--second", second, "--output", tmp_path / "agreement.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "agreement.json").read_text())
    assert result["overall"]["R"] == 2 / 3
    # Which annotator was which, and where their tables lie, is nobody's business.
    assert str(tmp_path) not in (tmp_path / "agreement.json").read_text()
    assert "first_annotator" not in result
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [
        "all",
        "videos",
        "2",
        "1",
        "1",
        "0.667",
        "30",
        f"{result['overall']['kappa']:.3f}",
    ] in lines
    assert [
        "rub",
        "1",
        "1",
        "1",
        "1.000",
        "10",
        f"{result['classes']['rub']['kappa']:.3f}",
    ] in lines
    for arguments, words in (
        (["--first", first, "--second", tmp_path / "none.csv"], "none.csv: cannot be read"),
        (
            ["--first", first, "--second", second, "--output", tmp_path / "no" / "a.json"],
            "no such folder",
        ),
        (
            ["--first", first, "--second", second, "--videos", first, "--store", first],
            "give one of them",
        ),
    ):
        bad = run(root, *arguments)
        assert bad.returncode == 1 and words in bad.stderr and "Traceback" not in bad.stderr
        assert bad.stderr.count("\n") == 1


def test_the_output_is_announced_and_written_whole(root, tmp_path):
    """Under whatever name; and one that is there is replaced, or stays."""
    first = table(tmp_path / "first.csv", "v,0,10,rub")
    output = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.json")
    for note in ("", f"note: {tmp_path}/caf\\udce9.json is there and will be replaced\n"):
        done = run(root, "--first", first, "--second", first, "--output", output)
        assert (done.returncode, done.stderr) == (0, note)
        assert f"wrote {tmp_path}/caf\\udce9.json" in done.stdout
    assert json.loads(pathlib.Path(output).read_text())["overall"]["R"] == 1
    assert len(list(tmp_path.iterdir())) == 2
