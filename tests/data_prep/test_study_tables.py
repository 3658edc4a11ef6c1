import pytest

from data_prep import study_tables
from data_prep.openpose_folders import Recording
from data_prep.study_tables import Clip
from mgjax.errors import InputError

# Frames 10 to 19, and 0 to 4.
RECORDINGS = [Recording("anna", "anna", 10, 19, 10), Recording("ben", "ben", 0, 4, 5)]


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "labels, expected",
    [
        (["b", "a", "10"], ["10", "a", "b"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        ([], []),
    ],
)
def test_label_order(labels, expected):
    assert study_tables.order_labels(labels) == expected


def test_clips_count_from_their_videos_first_frame(tmp_path):
    path = table(
        tmp_path / "clips.csv",
        "video,start,stop,label",
        "ben,0,5,nod",
        "cleo,0,9,nod",
        "anna,12,20,",
    )
    clips, without = study_tables.read_clips(path, RECORDINGS, absent=["cleo"])
    assert clips == [Clip("ben", 0, 5, "nod"), Clip("anna", 2, 8, None)] and without == 1


@pytest.mark.parametrize(
    "row, words",
    [
        ("anna,12,12,", "line 2: stop is 12 and start 12; stop is the frame after the clip's last"),
        ("cleo,0,9,", "line 2: unknown video 'cleo'"),
        ("anna,9,12,", "lie outside video 'anna', whose frames are numbered 10 to 19"),
        ("anna,12,21,", "lie outside video 'anna', .* [(]stop at most 20[)]"),
    ],
)
def test_clips_that_cannot_be(tmp_path, row, words):
    with pytest.raises(InputError, match=words):
        study_tables.read_clips(
            table(tmp_path / "c.csv", "video,start,stop,label", row), RECORDINGS
        )


def test_videos_by_id_and_splits_of_those_that_are_here(tmp_path):
    path = table(
        tmp_path / "videos.csv", "id,fps,split_mine", "cleo,,test", "ben,25,train", "anna,,test"
    )
    videos = study_tables.read_videos(path, RECORDINGS)
    assert videos.about == {"ben": {"fps": 25}, "anna": {}}
    assert videos.splits == {"mine": {"ben": "train", "anna": "test"}}
    assert videos.absent == ("cleo",) and videos.where["ben"].endswith("videos.csv, line 3")


def test_a_table_of_other_videos(tmp_path):
    path = table(tmp_path / "videos.csv", "id", "cleo")
    with pytest.raises(InputError, match="unknown video 'cleo': .* but has 'anna'"):
        study_tables.read_videos(path, RECORDINGS)
