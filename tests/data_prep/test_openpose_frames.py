import json
import os
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from openpose_examples import BODY, SOURCE, standing, write

from data_prep import openpose_folders, openpose_frames, openpose_source
from mgjax import skeleton
from mgjax.errors import InputError


@pytest.fixture(params=["msgspec", "json"], autouse=True)
def parser(request, monkeypatch):
    """Every test runs with the typed parser of the extra `fast` and with the standard library's."""
    if request.param == "msgspec":
        pytest.importorskip("msgspec", reason="the extra `fast` is not installed")
    else:
        monkeypatch.setattr(openpose_frames, "msgspec", None)
    return request.param


def test_columns_take_each_joint_from_its_part(tmp_path):
    """Every number is its joint's place in the file, worked out from the names alone."""
    sizes = {
        "pose_keypoints_2d": 25,
        "face_keypoints_2d": 70,
        "hand_left_keypoints_2d": 21,
        "hand_right_keypoints_2d": 21,
    }
    person, offset = {}, 0
    for part, size in sizes.items():
        person[part] = np.stack([np.arange(offset, offset + size)] * 2 + [np.ones(size)], axis=1)
        offset += size
    path = write(tmp_path / "f_0.json", [person])
    for name in ("imigue22", "imigue35", "body25_hands", "left_hand21", "openpose137"):
        layout = skeleton.get(name)
        source = openpose_source.source_of(layout, "body25", keep_face=name == "openpose137")
        x = openpose_frames.read_frame(path, source)[0, source.columns, 0]
        assert x.tolist() == [skeleton.OPENPOSE_137.joints.index(joint) for joint in layout.joints]
    # By hand: iMiGUE's right fingertips are the right hand's points 4, 8, 12, 16, 20, which start
    # at 25 + 70 + 21.
    source = openpose_source.source_of(skeleton.IMIGUE_22)
    x = openpose_frames.read_frame(path, source)[0, source.columns, 0]
    assert x.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18] + [
        116 + i for i in (4, 8, 12, 16, 20)
    ] + [95 + i for i in (4, 8, 12, 16, 20)]


def test_absent_hands_are_unseen_and_face_is_never_read(tmp_path):
    person = {
        "pose_keypoints_2d": standing(100),
        "hand_left_keypoints_2d": [],
        "face_keypoints_2d": ["no number"],
    }
    source = openpose_source.source_of(skeleton.BODY_25_HANDS)
    people = openpose_frames.read_frame(write(tmp_path / "f_0.json", [person]), source)
    assert people.shape == (1, 25 + 42, 3) and people.dtype == np.float32
    np.testing.assert_array_equal(people[0, :25], standing(100).astype(np.float32))
    assert not people[0, 25:].any()


def test_unseen_joints_are_zero_and_people_without_joints_are_nobody(tmp_path):
    pose = standing(100)
    pose[3, 2], pose[4, 2] = 0, -0.1
    people = openpose_frames.read_frame(
        write(tmp_path / "f_0.json", [np.zeros((25, 3)), pose]), SOURCE
    )
    assert len(people) == 1
    assert not people[0, [3, 4]].any()


def test_order_of_people_does_not_matter(tmp_path):
    some = [standing(x, seed=x) for x in (100, 300, 500)]
    one = openpose_frames.read_frame(write(tmp_path / "f_0.json", some), SOURCE)
    two = openpose_frames.read_frame(write(tmp_path / "f_1.json", some[::-1]), SOURCE)
    np.testing.assert_array_equal(one, two)


def test_people_with_an_empty_pose_are_left_out(tmp_path):
    without = {"pose_keypoints_2d": [], "hand_left_keypoints_2d": np.ones((21, 3))}
    path = write(tmp_path / "f_0.json", [without, {"pose_keypoints_2d": standing(100)}, without])
    write(tmp_path / "f_1.json", [without])
    for layout in (BODY, skeleton.BODY_25_HANDS):
        source = openpose_source.source_of(layout)
        assert len(openpose_frames.read_frame(path, source)) == 1
        read = openpose_frames.read_frames(str(tmp_path), {0: "f_0.json", 1: "f_1.json"}, source)
        assert read.counts.tolist() == [1, 0] and read.poseless == 3 and not read.damaged
        np.testing.assert_array_equal(read.points[0, :25], standing(100).astype(np.float32))


# --- a frame's file that is none


def pipe(path):
    os.mkfifo(path)


def pipe_held_open(path):
    os.mkfifo(path)
    # The test's process is its writer, who never writes; the descriptor goes when the process does.
    os.set_inheritable(os.open(path, os.O_RDWR | os.O_NONBLOCK), False)


@pytest.mark.parametrize(
    "make, words",
    [
        (pipe, "is not a plain file"),
        (pipe_held_open, "is not a plain file"),
        (lambda path: path.symlink_to("/dev/null"), "is not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a plain file|has more than"),
        (lambda path: path.symlink_to("nowhere"), "cannot be read"),
        (lambda path: path.symlink_to(path.name), "cannot be read"),
    ],
    ids=["pipe", "pipe held open", "null", "zero", "dangling", "loop"],
)
def test_what_is_no_plain_file_is_a_damaged_frame(tmp_path, make, words):
    write(tmp_path / "f_0.json", [standing(100)])
    make(tmp_path / "f_1.json")
    (recording,), _ = openpose_folders.find_recordings(tmp_path)
    read = openpose_frames.read_frames(
        str(tmp_path), openpose_folders.frame_files(tmp_path)[0], SOURCE
    )
    assert recording.files == 2 and read.counts.tolist() == [1, 0]
    ((path, reason),) = read.damaged
    assert path.endswith("f_1.json") and re.search(words, reason)


def test_a_frame_that_is_too_large(tmp_path, monkeypatch):
    path = write(tmp_path / "f_0.json", [standing(100)])
    for most, block in ((10_000, 100), (1000, 100), (1000, 1 << 16)):
        monkeypatch.setattr(openpose_frames, "MOST", most)
        monkeypatch.setattr(openpose_frames, "BLOCK", block)
        if most > path.stat().st_size or block > path.stat().st_size:
            assert len(openpose_frames.read_frame(path, SOURCE)) == 1
        else:
            with pytest.raises(openpose_frames.DamagedFrame, match="has more than 1000 bytes"):
                openpose_frames.read_frame(path, SOURCE)


def test_more_people_than_openpose_finds(tmp_path):
    write(tmp_path / "f_0.json", [standing(t) for t in range(127)])
    assert len(openpose_frames.read_frame(tmp_path / "f_0.json", SOURCE)) == 127
    write(tmp_path / "f_0.json", [standing(t) for t in range(128)])
    with pytest.raises(
        openpose_frames.DamagedFrame, match="holds 128 people; OpenPose finds at most 127"
    ):
        openpose_frames.read_frame(tmp_path / "f_0.json", SOURCE)


# --- wrong contents


def pose_text(values):
    return json.dumps({"people": [{"pose_keypoints_2d": values}]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"version": 1.3, "people": [{"pose_keypoi',
        "\x00\xff",
        "[" * 100_000,
        '{"people": {}}',
        '{"people": [3]}',
        pose_text("abc"),
        pose_text(["1"] * 75),
        pose_text([None] * 75),
        pose_text([[1, 2]] * 75),
        pose_text([1] * 74),
        pose_text([float("nan")] * 75),
        pose_text([1e39] * 75),
        pose_text([1e8] * 75),
        pose_text([10**400] * 75),
        pose_text([1, [2]] * 37 + [1]),
        pose_text([1] * 75).replace("[1", "[1e400"),
        pose_text([True] * 75),
        pose_text([1] * 75)[:-1],
        pose_text([1] * 75).replace("[1", "[" + 5000 * "1"),
        '{"people": [' * 50_000,
        '{"people": ' * 50_000,
        pose_text([1] * 75).replace("{", '{"other": ' + "[" * 50_000 + "]" * 50_000 + ", ", 1),
    ],
    ids=range(23),
)
def test_damaged_frames(tmp_path, text):
    with pytest.raises(openpose_frames.DamagedFrame):
        openpose_frames.read_frame(write(tmp_path / "f_0.json", text=text), SOURCE)


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"frames": []}', "no 'people'"),
        ("[1, 2]", "no 'people'"),
        ("7", "no 'people'"),
        ('{"people": [{"pose_keypoints": []}]}', "no 'pose_keypoints_2d'"),
        (
            json.dumps({"people": [{"pose_keypoints_2d": [1] * 54}]}),
            "holds 18 joints, expected 25 as pose model body25",
        ),
    ],
)
def test_foreign_files_are_named(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as caught:
        openpose_frames.read_frame(write(tmp_path / "f_0.json", text=text), SOURCE)
    assert str(tmp_path / "f_0.json") in str(caught.value)


def test_a_hand_of_another_size_is_named(tmp_path):
    person = {"pose_keypoints_2d": standing(100), "hand_left_keypoints_2d": np.ones((20, 3))}
    with pytest.raises(InputError, match="hand_left_keypoints_2d holds 20 joints, expected 21"):
        openpose_frames.read_frame(
            write(tmp_path / "f_0.json", [person]),
            openpose_source.source_of(skeleton.BODY_25_HANDS),
        )


# --- both parsers, and many files at once


BYTES = [*b'0123456789.,-e[]{}":\\ nt\n\x00\xff']


def outcome(path, source):
    try:
        people = openpose_frames.read_frame(path, source)
        return people.shape, people.tobytes()
    except (openpose_frames.DamagedFrame, InputError) as error:
        return type(error).__name__, str(error)


def test_both_parsers_give_the_same(tmp_path, monkeypatch, parser):
    """The same bits, or the same sentence, for frames of all kinds and with any byte changed."""
    msgspec = pytest.importorskip("msgspec", reason="the extra `fast` is not installed")
    rng = np.random.default_rng(len(parser))  # as every test here runs twice: other bytes each time
    hand = standing(200, seed=2)[:21]
    two = [
        {"pose_keypoints_2d": standing(100).round(3), "hand_left_keypoints_2d": hand},
        {
            "pose_keypoints_2d": standing(500, 1),
            "hand_right_keypoints_2d": hand,
            "face_keypoints_2d": [1, 2, 3],
        },
    ]
    whole = write(tmp_path / "f_0.json", two).read_bytes()
    number = pose_text([1] * 75).encode()
    texts = [
        whole,
        b"\xef\xbb\xbf" + whole,
        whole.decode().encode("utf-16"),
        whole + b" \n",
        whole + b"}",
        whole.replace(b"1.3", b'"\xff"'),
        whole.replace(b"1.3", b'"\xc3\xa9"'),
        whole.replace(b"1.3", b'"\\q"'),
        whole.replace(b"1.3", b"NaN"),
        whole.replace(b"1.3", 5000 * b"9"),
        whole.replace(b'"people"', b'"people": [], "people"'),
        whole.replace(b"hand_left", b"hand\\u005fleft"),
        whole.replace(b"face_keypoints_2d", b"pose_keypoints_2d"),
        whole.replace(b"people", b"frames"),
        whole.replace(b"pose_", b"pose"),
        b"[" + whole + b"]",
        b"7",
        pose_text([1] * 54).encode(),
        pose_text([]).encode(),
        whole.replace(b"hand_right", b"hand_left", 1),
    ]
    texts += [
        number.replace(b"[1,", b"[" + value + b",")
        for value in (
            b"-0",
            b"-0.0",
            b"1e-400",
            b"16777217",
            b"9007199254740993",
            b"18446744073709551616",
            b"1e38",
            b"3.5e38",
            b"1e400",
            b"01",
            b"1.",
            b".5",
            b"+1",
            b"1E+2",
            b"Infinity",
            b"-Infinity",
            b"null",
            b"true",
            b'"1"',
            b"[1]",
            b"{}",
            b"0.1000000000000000055511151231257827021181583404541015625",
            b"1" + 400 * b"0",
        )
    ]
    for _ in range(300):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 3)):
            changed[place : place + rng.integers(0, 2)] = (
                rng.choice(BYTES, 1).astype(np.uint8).tobytes()
            )
        texts.append(
            bytes(changed) if rng.random() < 0.8 else bytes(changed[: rng.integers(len(changed))])
        )
    found = []
    for module in (msgspec, None):
        monkeypatch.setattr(openpose_frames, "msgspec", module)
        found.append([])
        for text in texts:
            (tmp_path / "f_0.json").write_bytes(text)
            for layout in (BODY, skeleton.BODY_25_HANDS):
                found[-1].append(outcome(tmp_path / "f_0.json", openpose_source.source_of(layout)))
    assert found[0] == found[1]
    kinds = [kind for kind, _ in found[0]]
    assert (
        min(kinds.count("DamagedFrame"), kinds.count("InputError"), kinds.count((2, 25, 3))) >= 10
    )


numbers = strategies.one_of(
    strategies.integers(),
    strategies.floats(width=32),
    strategies.sampled_from([0, -0.0, 1e39, 10**400, 2**64]),
)
values = strategies.one_of(
    numbers, strategies.none(), strategies.booleans(), strategies.text(max_size=3)
)
lists = strategies.one_of(
    strategies.lists(numbers, min_size=75, max_size=75),
    strategies.lists(numbers, min_size=63, max_size=63),
    strategies.lists(values, max_size=80),
    strategies.just([]),
    values,
    strategies.lists(strategies.lists(numbers)),
)
persons = strategies.one_of(
    strategies.dictionaries(
        strategies.sampled_from(
            ["pose_keypoints_2d", "hand_left_keypoints_2d", "face_keypoints_2d", "x"]
        ),
        lists,
    ),
    values,
)
jsons = strategies.one_of(
    strategies.fixed_dictionaries({"people": strategies.lists(persons, max_size=3)}),
    strategies.fixed_dictionaries({"people": lists}),
    lists,
)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    jsons,
    strategies.lists(
        strategies.tuples(
            strategies.integers(0, 2000), strategies.integers(0, 5), strategies.binary(max_size=4)
        ),
        max_size=2,
    ),
)
def test_any_bytes_are_a_frame_a_damaged_one_or_one_sentence(
    tmp_path, monkeypatch, parser, value, changes
):
    """Frames that are nearly right, with some bytes changed: both parsers say the same, and
    nothing else is raised.
    """
    text = bytearray(json.dumps(value).encode())
    for place, length, other in changes:
        text[place : place + length] = other
    path = tmp_path / "f_0.json"
    path.write_bytes(text)
    for layout in (BODY, skeleton.BODY_25_HANDS):
        source = openpose_source.source_of(layout)
        found = outcome(path, source)
        with monkeypatch.context() as patch:
            patch.setattr(openpose_frames, "msgspec", None)
            assert outcome(path, source) == found
        if isinstance(found[0], tuple):
            people = np.frombuffer(found[1], np.float32).reshape(found[0])
            assert (np.abs(people) < openpose_frames.FAR).all() and (people[..., 2] >= 0).all()
            assert people[:, :25, 2].any(axis=1).all()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.binary())
def test_any_bytes(tmp_path, parser, data):
    (tmp_path / "f_0.json").write_bytes(data)
    outcome(tmp_path / "f_0.json", SOURCE)


def test_the_typed_parser_is_used(tmp_path, monkeypatch):
    """A whole frame is not parsed a second time by json where msgspec is there."""
    path = write(tmp_path / "f_0.json", [standing(100)])
    monkeypatch.setattr(openpose_frames, "json", None)
    for block in (1 << 16, 100):  # in one read and in two
        monkeypatch.setattr(openpose_frames, "BLOCK", block)
        if openpose_frames.msgspec is None:
            with pytest.raises(AttributeError):
                openpose_frames.read_frame(path, SOURCE)
        else:
            assert openpose_frames.read_frame(path, SOURCE).shape == (1, 25, 3)


def test_many_frames_at_once_are_the_same_as_one_by_one(tmp_path, monkeypatch):
    a, b = standing(100), standing(500, seed=1)
    texts = [
        None,
        pose_text([1] * 74),
        None,
        pose_text([1e39] * 75),
        None,
        "{",
        None,
        pose_text([float("nan")] * 75),
    ]
    people = [[a], None, [b, a], None, [], None, [np.zeros((25, 3)), b]]
    for number, (text, some) in enumerate(zip(texts, [*people, None])):
        write(tmp_path / f"f_{number}.json", some, text)
    names = {number: f"f_{number}.json" for number in range(8)}
    for block in (1 << 16, 100):  # files that fit in one read, and that do not
        monkeypatch.setattr(openpose_frames, "BLOCK", block)
        read = openpose_frames.read_frames(str(tmp_path), names, SOURCE)
        assert read.numbers.tolist() == list(range(8)) and read.counts.tolist() == [
            1,
            0,
            2,
            0,
            0,
            0,
            1,
            0,
        ]
        expected = [
            openpose_frames.read_frame(tmp_path / names[number], SOURCE) for number in (0, 2, 4, 6)
        ]
        np.testing.assert_array_equal(read.points, np.concatenate(expected))
        far = "its keypoints are not finite, or far outside of any picture"
        assert read.damaged == tuple(
            (f"{tmp_path}/f_{number}.json", reason)
            for number, reason in (
                (1, "pose_keypoints_2d holds 74 numbers, which are no triples"),
                (3, far),
                (5, "not whole JSON"),
                (7, far),
            )
        )
