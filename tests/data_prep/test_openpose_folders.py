import os

import pytest
from openpose_examples import frames, write

from data_prep import openpose_folders
from mgjax.errors import InputError


@pytest.mark.parametrize(
    "name, number",
    [
        ("video_000000000007_keypoints.json", 7),
        ("cam01.0007.json", 7),
        ("12.json", 12),
        ("frame12a_keypoints.JSON", 12),
        ("keypoints.json", None),
        ("a_keypoints.json", None),
    ],
)
def test_frame_number(name, number):
    assert openpose_folders.frame_number(name) == number


def test_numbers_sort_as_numbers_and_others_are_counted(tmp_path):
    for name in ("f_10.json", "f_9.json", "notes.txt", ".f_11.json"):
        write(tmp_path / name, [])
    names, others = openpose_folders.frame_files(tmp_path)
    assert list(names.items()) == [(9, "f_9.json"), (10, "f_10.json")]
    assert others == 2


@pytest.mark.parametrize(
    "names, expected",
    [
        (["f_9.json", "f_10.json", "f_11.json"], {9: "f_9.json", 10: "f_10.json", 11: "f_11.json"}),
        (["a1_07.json", "a1_08.json"], {7: "a1_07.json", 8: "a1_08.json"}),
        (["a1.json", "a2.JSON", "b3.json"], {1: "a1.json", 2: "a2.JSON", 3: "b3.json"}),
        (["a_1x2.json", "a_2.json"], {2: None}),
        (["a_1_0.json", "a_1_3.json"], {0: "a_1_0.json", 3: "a_1_3.json"}),
        (["a_1.json", "a_1 1.json"], {1: None}),
        (["a_01.json", "a_1.json"], {1: None}),
        (
            ["a_10.json", "a_11.json", "a_1\N{ARABIC-INDIC DIGIT TWO}3.json"],
            {3: "a_1\N{ARABIC-INDIC DIGIT TWO}3.json", 10: "a_10.json", 11: "a_11.json"},
        ),
        (["a_1_v2.json", "a_2_v2.json"], {2: None}),
        (["a_1.json", "a_1_5.json"], {1: "a_1.json", 5: "a_1_5.json"}),
        (["a_1.json", "a_2-json", "a_3.json"], {1: "a_1.json", 3: "a_3.json"}),
    ],
    ids=range(11),
)
def test_numbers_of_names_that_are_alike_and_that_are_not(tmp_path, names, expected):
    for name in names:
        write(tmp_path / name, [])
    if None in expected.values():
        with pytest.raises(InputError, match=f"same frame number {next(iter(expected))}"):
            openpose_folders.frame_files(tmp_path)
    else:
        assert list(openpose_folders.frame_files(tmp_path)[0].items()) == list(expected.items())


def test_a_folder_of_folders(tmp_path):
    frames(tmp_path / "b", [[], []], first=5)
    frames(tmp_path / "a", [[], None, []])
    (tmp_path / "readme.md").write_text("x")
    (tmp_path / "without").mkdir()
    recordings, aside = openpose_folders.find_recordings(tmp_path)
    assert [(r.id, r.first, r.last, r.files, r.length) for r in recordings] == [
        ("a", 0, 2, 2, 3),
        ("b", 5, 6, 2, 2),
    ]
    assert aside == openpose_folders.Aside(1, ("without",))


def test_folders_without_a_frame_only(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="none of its 2 folders, such as a, holds a .json file"):
        openpose_folders.find_recordings(tmp_path)


@pytest.mark.parametrize(
    "name", [f"f_{10**20}.json", f"f_{'7' * 5000}"[:240] + ".json"], ids=["20", "many"]
)
@pytest.mark.parametrize("beside", ["f_1.json", "other_1.json"])
def test_numbers_that_are_no_frame_numbers(tmp_path, name, beside):
    for each in (name, beside):
        write(tmp_path / each, [])
    with pytest.raises(InputError, match="or one of more than 18 digits"):
        openpose_folders.find_recordings(tmp_path)


def test_zeros_before_a_number_are_no_digits_of_it(tmp_path):
    for number in (7, 8):
        write(tmp_path / f"f_{number:0100d}.json", [])
    assert list(openpose_folders.frame_files(tmp_path)[0]) == [7, 8]


@pytest.mark.parametrize("name", [b"f_1\xff.json", b"v\xff/f_1.json"], ids=["file", "folder"])
def test_names_that_are_no_text(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), b"videos", name)
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        file.write('{"people": []}')
    with pytest.raises(InputError, match="'s name is .*, expected a text without") as caught:
        openpose_folders.find_recordings(tmp_path / "videos")
    str(caught.value).encode()


def test_chunks_cover_every_frame_once(tmp_path, monkeypatch):
    monkeypatch.setattr(openpose_folders, "CHUNK", 2)
    (recording,), _ = openpose_folders.find_recordings(frames(tmp_path / "v", [[]] * 5))
    assert [list(names) for _, names in openpose_folders.chunks(recording)] == [[0, 1], [2, 3], [4]]
