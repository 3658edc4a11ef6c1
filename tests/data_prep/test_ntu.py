import errno
import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from data_prep import ntu, ntu_skeletons
from mgjax import protocols, store
from mgjax.errors import InputError

NAME = "S001C002P003R002A013"
ANNA, BERT = 72057594037931101, 72057594037931102  # ids that a float64 cannot tell apart


def pose(x=0.0, z=3.0, wide=False):
    """25 joints in metres, 1.6 tall and 0.4 wide or the other way round, as text would give them
    back.
    """
    joint = np.arange(25)
    flat, tall = np.cos(joint) * 0.2, joint * 1.6 / 24
    place = [tall, flat] if wide else [flat, tall]
    return np.stack([x + place[0], place[1], np.full(25, z)], axis=-1).round(6)


def text(frames, states=2):
    """The text of a file: a list of {body id: joints} a frame."""
    lines = [len(frames)]
    for bodies in frames:
        lines.append(len(bodies))
        for id, joints in bodies.items():
            lines += [f"{id} 0 1 1 1 1 0 0.02764709 0.05745083 2", 25]
            for joint, state in zip(joints, np.broadcast_to(states, 25)):
                lines.append(
                    f"{joint[0]:.7g} {joint[1]:.7g} {joint[2]:.7g} 277.4 191.8 -1.#INF "
                    "519.1 -0.2 0.05 0.9 0 "
                    f"{state}"
                )
    return "".join(f"{line}\r\n" for line in lines)


def put(folder, frames, name=NAME, **options):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.skeleton"
    path.write_text(text(frames, **options), newline="")
    return path


def person(frames=20, id=ANNA, **where):
    """Frames with one standing body that does not move."""
    return [{id: pose(**where)}] * frames


def people(frames):
    """Frame numbers of every person that is found, the main one first."""
    bodies = {}
    for number, found in enumerate(frames):
        for id, joints in found.items():
            bodies.setdefault(id, ([], []))[0].append(number)
            bodies[id][1].append(np.c_[joints, np.full(25, 2)])
    return [
        body.frames.tolist()
        for body in ntu_skeletons.find_people(
            ntu_skeletons.Body(np.array(numbers), np.array(joints, np.float32))
            for numbers, joints in bodies.values()
        )
    ]


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, str(root / "data_prep" / "pack_ntu.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_two_bodies_are_read_number_by_number(tmp_path):
    frames = [{}, {ANNA: pose(0.1)}, {ANNA: pose(0.2), BERT: pose(0.9)}, {BERT: pose(1.0)}]
    first, second = ntu_skeletons.read(put(tmp_path, frames))
    assert first.frames.tolist() == [1, 2] and second.frames.tolist() == [2, 3]
    assert first.joints.dtype == np.float32 and first.joints.shape == (2, 25, 4)
    np.testing.assert_array_equal(first.joints[1, :, :3], np.float32(frames[2][ANNA]))
    np.testing.assert_array_equal(second.joints[1, :, :3], np.float32(frames[3][BERT]))
    assert (second.joints[..., 3] == 2).all()


def test_a_video_goes_from_first_to_last_frame_with_tracking_states_as_scores():
    joints = np.concatenate([np.full((2, 25, 3), 1.5), np.full((2, 25, 1), 2)], axis=-1).astype(
        np.float32
    )
    joints[0, 3, 3], joints[0, 4, 3], joints[1, 5, :3] = 1, 0, 0
    video = ntu_skeletons.Body(np.array([7, 9]), joints).video()
    assert video.shape == (3, 25, 4) and video.dtype == np.float32
    assert video[0, :7].tolist() == [[1.5, 1.5, 1.5, score] for score in (1, 1, 1, 0.5, 0, 1, 1)]
    assert not video[1].any()
    assert video[2, 5].tolist() == [0, 0, 0, 0] and video[2, :, 3].sum() == 24


def test_motion_is_the_variance_over_joints_and_frames():
    joints = np.zeros((2, 25, 4), np.float32)
    joints[:, :, 1] = np.linspace(0, 2, 25)
    joints[1, :, 0] = 3  # the whole body 3 m to the side: x is 0 or 3, variance 2.25
    assert ntu_skeletons.Body(np.arange(2), joints).motion == pytest.approx(
        2.25 + np.linspace(0, 2, 25).var()
    )
    joints[1, 0, 0] = 30  # now too wide: the frame does not count
    assert ntu_skeletons.Body(np.arange(2), joints).motion == pytest.approx(
        np.linspace(0, 2, 25).var()
    )


def test_the_person_who_moves_is_the_main_one():
    still, moving = pose(0), [pose(1 + 0.05 * frame) for frame in range(20)]
    frames = [{ANNA: still, BERT: moving[frame]} for frame in range(20)]
    frames[0] = {ANNA: still}
    assert people(frames) == [list(range(1, 20)), list(range(20))]


@pytest.mark.parametrize("wide, kept", [(14, 2), (15, 1)])
def test_furniture_is_left_out_above_seven_tenths_of_wide_frames(wide, kept):
    frames = [{ANNA: pose(), BERT: pose(2, wide=frame < wide)} for frame in range(20)]
    assert len(people(frames)) == kept


def test_a_person_of_few_frames_is_left_out_and_who_is_alone_never():
    frames = person(12)
    frames[0] = {ANNA: pose(), BERT: pose(2)}
    assert people(frames) == [list(range(12))]
    frames = [{ANNA: pose(), BERT: pose(2)} for _ in range(12)]
    assert len(people(frames)) == 2
    assert people(person(3)) == [[0, 1, 2]]
    assert people(person(15, wide=True)) == [list(range(15))]
    assert people([]) == []


def test_a_body_id_that_switches_is_one_person():
    # 10 frames of one id, 5 of nobody, 5 of another (too few alone): from 9 to 15 one gets 0.5 +
    # 2 * 6 / 30 = 0.9 m.
    def switched(x):
        return person(10) + [{}] * 5 + person(5, BERT, x=x)

    both = [*range(10), *range(15, 20)]
    assert people(switched(0.89)) == [both]
    # both short: neither left out
    assert sorted(people(switched(0.91))) == [list(range(10)), list(range(15, 20))]
    assert len(people(switched(0.91) + person(10, BERT, x=0.91))) == 1  # one of them long enough
    # Beside somebody else, who is there all the time.
    third = [{**frame, 5: pose(0.5)} for frame in switched(0.1)]
    assert sorted(people(third)) == [list(range(20)), both]


def test_of_two_people_found_again_each_goes_on_as_the_nearer():
    before = [{ANNA: pose(0.0), BERT: pose(0.8)}] * 12
    after = [{1: pose(0.7), 2: pose(0.1 + 0.05 * frame)} for frame in range(12)]
    bodies = {ANNA: [], BERT: [], 1: [], 2: []}
    for frame in before + after:
        for id, joints in frame.items():
            bodies[id].append(np.c_[joints, np.full(25, 2)])
    bodies = {id: np.array(joints, np.float32) for id, joints in bodies.items()}
    main, other = ntu_skeletons.find_people(
        ntu_skeletons.Body(np.arange(12) + (12 if id in (1, 2) else 0), joints)
        for id, joints in bodies.items()
    )
    np.testing.assert_array_equal(main.joints, np.concatenate([bodies[ANNA], bodies[2]]))
    np.testing.assert_array_equal(other.joints, np.concatenate([bodies[BERT], bodies[1]]))


def test_pack(tmp_path):
    files = tmp_path / "files"
    put(files, person(20), "S001C001P001R001A001")
    put(files, [*person(2), {}, *person(12, x=0.1), {}], "S001C002P002R001A060")
    put(files / "more", person(13), "S001C003P003R001A002", states=[2] * 24 + [1])
    put(files, [{}] * 4, "S001C003P008R001A003")
    put(files, [{}] * 4, "S002C003P008R001A003")
    (files / "notes.txt").write_text("left alone")
    report = ntu.pack(files, tmp_path / "out.h5")
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.layout.name == "ntu25" and packed.unit == "metre"
        assert packed.labels == protocols.NTU_ACTIONS[:60]
        ids = ["S001C001P001R001A001", "S001C002P002R001A060", "S001C003P003R001A002"]
        assert packed.videos.id.tolist() == ids
        assert packed.videos.subject.tolist() == ["P001", "P002", "P003"] and set(
            packed.videos.fps
        ) == {30}
        assert packed.videos.length.tolist() == packed.clips.length.tolist() == [20, 15, 13]
        assert packed.clips.label.tolist() == [0, 59, 1]
        keypoints, score = packed.clip(1)
        np.testing.assert_array_equal(keypoints[3], np.float32(pose(0.1)))
        assert not score[2].any() and (np.delete(score, 2, 0) == 1).all()
        assert packed.clip(2)[1][0].tolist() == [1] * 24 + [0.5]
        sides = {
            name: (split.of, split.train.tolist(), split.test.tolist())
            for name, split in packed.splits.items()
        }
        assert sides == {
            "cross_subject": ("clips", [0, 1], [2]),
            "cross_view": ("clips", [1, 2], [0]),
        }
    assert (report.files, report.listed, report.clips, report.frames) == (5, 0, 3, 48)
    assert report.empty == ("S001C003P008R001A003", "S002C003P008R001A003")
    assert "no body in them: 2, the first S001C003P008R001A003" in str(report) and "56880" in str(
        report
    )


def test_ntu_120_has_its_own_splits_and_classes(tmp_path):
    for name in (
        "S001C001P001R001A001",
        "S017C002P007R001A060",
        "S018C001P045R001A061",
        "S019C003P044R001A120",
    ):
        put(tmp_path / "files", person(3), name)
    report = ntu.pack(tmp_path / "files", tmp_path / "out.h5")
    assert report.splits == {
        "cross_subject": (1, 1),
        "cross_view": (1, 1),
        "cross_subject_120": (2, 2),
        "cross_setup": (1, 3),
    }
    assert "NTU RGB+D 120" in str(report)
    with store.Store(tmp_path / "out.h5") as packed:
        assert packed.labels == protocols.NTU_ACTIONS and packed.clips.label.tolist() == [
            0,
            59,
            60,
            119,
        ]
        assert packed.splits["cross_setup"].train.tolist() == [2]


def test_second_people_of_two_person_actions(tmp_path):
    both = [{ANNA: pose(0.02 * frame), BERT: pose(1)} for frame in range(15)]
    put(tmp_path / "files", both, "S001C001P001R001A049")
    put(tmp_path / "files", both, "S001C001P003R001A050")
    report = ntu.pack(tmp_path / "files", tmp_path / "one.h5")
    assert (report.several, report.second, report.clips) == (2, 0, 2)
    assert "cross_view: 0 clips train, 2 test; not written" in str(report)
    report = ntu.pack(tmp_path / "files", tmp_path / "two.h5", bodies=2, workers=2)
    assert (report.several, report.second, report.clips) == (2, 1, 3)
    with store.Store(tmp_path / "one.h5") as one, store.Store(tmp_path / "two.h5") as two:
        assert two.videos.id.tolist() == [*one.videos.id, "S001C001P003R001A050_b2"]
        np.testing.assert_array_equal(two.video(1)[0], one.video(1)[0])
        np.testing.assert_array_equal(two.video(2)[0][14], np.float32(pose(1)))
        assert two.clips.label.tolist() == [48, 49, 49]
        assert list(two.splits) == ["cross_subject"] and two.splits[
            "cross_subject"
        ].test.tolist() == [1, 2]
    with pytest.raises(InputError, match="bodies is 3"):
        ntu.pack(tmp_path / "files", tmp_path / "out.h5", bodies=3)


HEADING = (
    "302 of the samples have missing or incomplete skeletons.\n"
    "Ignore S001C001P001R001A001 and others.\n\n"
)


def test_listed_samples_are_left_out_unread(tmp_path):
    put(tmp_path / "files", person(3), "S001C001P001R001A001")
    (tmp_path / "files" / "S001C002P005R002A008.skeleton").write_text("damaged")
    (tmp_path / "list.txt").write_text(
        HEADING + "S001C002P005R002A008\r\n\nS001C002P006R001A008.skeleton\n"
    )
    report = ntu.pack(tmp_path / "files", tmp_path / "out.h5", missing=tmp_path / "list.txt")
    assert (report.files, report.listed, report.clips) == (2, 1, 1)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "not UTF-8 text"),
        (HEADING.encode(), "names no sample"),
        (
            (HEADING + f"{NAME}\nS01C002P006R001A008\n").encode(),
            "line 5: 'S01C002P006R001A008' is not of the form",
        ),
    ],
)
def test_wrong_lists(tmp_path, content, message):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"list.txt.*{message}"):
        ntu_skeletons.read_missing(path)


@pytest.mark.parametrize(
    "name, message",
    [
        ("S001C002P003R002", "not of the form SsssCcccPpppRrrrAaaa"),
        ("S033C002P003R002A013", "setup 33 is not among the benchmark's 1 to 32"),
        ("S001C004P003R002A013", "camera 4"),
        ("S001C002P107R002A013", "subject 107"),
        ("S001C002P003R003A013", "replication 3"),
        ("S001C002P003R002A121", "action 121"),
    ],
)
def test_wrong_names(tmp_path, name, message):
    put(tmp_path / "files", person(3), name)
    with pytest.raises(InputError, match=f"{name}.skeleton: .*{message}"):
        ntu.pack(tmp_path / "files", tmp_path / "out.h5")


def lines_of(edit):
    """The text of a file of two frames (lines 1, 2 to 29, 30 to 57) after `edit` changed its
    list of lines.
    """
    lines = text(person(2)).splitlines()
    return "\n".join(edit(lines) or lines)


def change(number, line):
    return lambda lines: lines.__setitem__(number - 1, line)


JOINT = "1 2 3 0 0 0 0 0 0 0 0 2"


@pytest.mark.parametrize(
    "edit, line, message",
    [
        (lambda lines: [""], 0, "cut short"),
        (lambda lines: lines[:1], 1, "cut short"),
        (lambda lines: lines[:29], 29, "cut short"),
        (lambda lines: lines[:30], 30, "cut short"),
        (lambda lines: lines[:31], 31, "cut short"),
        (lambda lines: lines[:40], 40, "cut short"),
        (lambda lines: [*lines[:56], lines[56][:30]], 57, "values, expected a joint's 12"),
        (lambda lines: [*lines, "", "1"], 59, "more than the frames that the first line counts"),
        (change(1, "two"), 1, "expected the number of frames"),
        (change(2, "-1"), 2, "expected the number of bodies"),
        (change(3, "1 2 3"), 3, "expected a body's id and 9 further values"),
        (change(3, "x 0 1 1 1 1 0 0 0 2"), 3, "expected a body's id and 9 further values"),
        (change(4, "20"), 4, "20 joints, expected 25"),
        (change(35, ""), 35, "0 values"),
        (change(35, JOINT.replace("1", "one")), 35, "not a number"),
        (change(35, JOINT.replace("1", "1_0")), 35, "not a number"),
        (change(35, JOINT.replace("1", "nan")), 35, "not finite"),
        (change(35, JOINT + " 2"), 35, "13 values, expected a joint's 12"),
        (change(35, JOINT.replace("1", "1e7")), 35, "not below 1e.06 metres"),
        (change(35, JOINT.replace("1", "9" * 400)), 35, "not finite or not below"),
        (change(1, "9" * 5000), 1, "expected the number of frames"),
        (change(1, "100001"), 1, "100001 frames, expected at most 100000"),
        (
            change(3, "9" * 5000 + " 0 1 1 1 1 0 0 0 2"),
            3,
            "expected a body's id and 9 further values",
        ),
        (change(4, "7" * 4000), 4, "expected the number of joints"),
        (change(35, JOINT[:-1] + "3"), 35, "tracking state is not 0, 1 or 2"),
        (change(35, JOINT[:-1] + "0.5"), 35, "tracking state is not 0, 1 or 2"),
    ],
)
def test_damaged_files_are_named_with_the_line(tmp_path, edit, line, message):
    path = tmp_path / f"{NAME}.skeleton"
    path.write_text(lines_of(edit))
    with pytest.raises(InputError, match=f"{NAME}.skeleton, line {line}: .*{message}"):
        ntu_skeletons.read(path)


def test_bytes_that_two_readers_take_apart_differently(tmp_path):
    for separator in ("\xa0", "\x1c"):
        lines = lines_of(change(35, JOINT.replace("2 ", f"2{separator}9 ")))
        (tmp_path / "file.skeleton").write_bytes(lines.encode("latin-1"))
        with pytest.raises(InputError, match="file.skeleton: damaged, .* bytes that are not text"):
            ntu_skeletons.read(tmp_path / "file.skeleton")


def test_blanks_may_be_several_or_tabs(tmp_path):
    path = put(tmp_path, person(2))
    expected = ntu_skeletons.read(path)[0].joints
    for other in (b"  ", b"\t", b" \t"):
        (tmp_path / "other.skeleton").write_bytes(path.read_bytes().replace(b" ", other))
        np.testing.assert_array_equal(
            ntu_skeletons.read(tmp_path / "other.skeleton")[0].joints, expected
        )


def test_more_bodies_than_anybody_meets(tmp_path):
    """Each is compared with all before it, so their number is limited."""
    path = put(tmp_path, [{body: pose()} for body in range(ntu_skeletons.MOST_BODIES + 1)])
    with pytest.raises(InputError, match="line [0-9]+: more than 200 body ids; a sample has a few"):
        ntu_skeletons.read(path)


def test_what_is_no_plain_file(tmp_path):
    for name, make in (
        ("S001C001P001R001A001", os.mkfifo),
        ("S001C001P001R001A002", lambda path: path.symlink_to("no")),
        ("S001C001P001R001A003", pathlib.Path.mkdir),
    ):
        path = tmp_path / f"{name}.skeleton"
        make(path)
        with pytest.raises(InputError, match=f"{name}.skeleton: (is not a plain|cannot be read)"):
            ntu.pack(tmp_path, tmp_path / "out.h5")
        with pytest.raises(InputError, match=f"{name}.skeleton: .*; expected a list of samples"):
            ntu_skeletons.read_missing(path)
        path.rmdir() if path.is_dir() else path.unlink()


class FullDisk(io.BytesIO):
    """A temporary file on a disk that is full as soon as it has a frame."""

    def write(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_reading_leaves_nothing(tmp_path, monkeypatch):
    put(tmp_path / "files", person(3))
    monkeypatch.setattr(ntu.tempfile, "TemporaryFile", lambda dir: FullDisk())
    with pytest.raises(InputError, match="a temporary file .* cannot be written there .No space"):
        ntu.pack(tmp_path / "files", tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_body_twice_in_a_frame(tmp_path):
    lines = text([{ANNA: pose(), BERT: pose()}]).replace(str(BERT), str(ANNA))
    (tmp_path / "file.skeleton").write_text(lines)
    with pytest.raises(InputError, match="line 30: this body is in frame 1 twice"):
        ntu_skeletons.read(tmp_path / "file.skeleton")


def test_folders(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        ntu.pack(tmp_path / "nowhere", tmp_path / "out.h5")
    with pytest.raises(InputError, match="holds no .skeleton file"):
        ntu.pack(tmp_path, tmp_path / "out.h5")
    put(tmp_path / "files", [{}] * 3)
    with pytest.raises(InputError, match="none of its 1 .skeleton files is left"):
        ntu.pack(tmp_path / "files", tmp_path / "out.h5")
    with pytest.raises(InputError, match="nowhere: no such folder to write out.h5 into"):
        ntu.pack(tmp_path / "files", tmp_path / "nowhere" / "out.h5")


def test_script(tmp_path, root):
    for number in range(1, 4):
        put(tmp_path / "files", person(12), f"S001C001P00{number}R001A001")
    done = run(root, "--input", tmp_path / "files", "--output", tmp_path / "out.h5", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert (
        "clips: 3, frames 36" in done.stdout
        and "cross_subject: 2 clips train, 1 test" in done.stdout
    )
    (tmp_path / "files" / "S001C001P002R001A001.skeleton").write_text("3\n")
    done = run(
        root, "--input", tmp_path / "files", "--output", tmp_path / "again.h5", "--workers", 2
    )
    assert (
        done.returncode == 1
        and "Traceback" not in done.stderr
        and len(done.stderr.splitlines()) == 1
    )
    assert (
        done.stderr.startswith("error: ")
        and "S001C001P002R001A001.skeleton, line 1: the file ends" in done.stderr
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "out.h5"]
    (tmp_path / "files" / "S001C001P002R001A001.skeleton").unlink()
    done = run(root, "--input", tmp_path / "files", "--output", tmp_path / "out.h5")
    note = f"note: {tmp_path / 'out.h5'} is there and will be replaced\n"
    assert (done.returncode, done.stderr) == (0, note)
