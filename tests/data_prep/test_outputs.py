"""What the scripts leave behind: no path in what they write, and on a full disk nothing at all.

A tmpfs of a few pages is such a disk.
"""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mgjax import skeleton, store

# Mounts where nobody else sees it, runs a command, and says what is left.
MOUNTED = (
    'folder=$1; mount -t tmpfs -o size=16k none "$folder" || exit 77; shift; "$@"; code=$?; '
    'echo "left: $(ls -A "$folder")"; exit $code'
)


def on_small_disk(folder, *command):
    folder.mkdir(exist_ok=True)
    mounting = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh"]
    return subprocess.run(
        [*mounting, str(folder), *map(str, command)], capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of 16 kB for what `on_small_disk` runs."""
    if shutil.which("unshare") is None or on_small_disk(tmp_path / "disk", "true").returncode:
        pytest.skip("no disk can be mounted here")
    return tmp_path / "disk"


def ntu(folder):
    joint = "0.1 0.2 3.0 0 0 0 0 0 0 0 0 2\n"
    body = "72057594037931101 0 1 1 1 1 0 0 0 2\n25\n" + joint * 25
    (folder / "S001C001P001R001A001.skeleton").write_text("100\n" + ("1\n" + body) * 100)
    return "pack_ntu.py", "--input", folder, "--workers", 1


def nucla(folder):
    clip = {"file_name": "a01_s01_e00_v01", "skeletons": np.ones((300, 20, 3)).tolist(), "label": 1}
    (folder / "a01_s01_e00_v01.json").write_text(json.dumps(clip))
    return "pack_nucla.py", "--input", folder


def imigue(folder):
    (folder / "0007_light_hand.csv").write_text(("0," + ",".join(["5.5"] * 105) + "\n") * 300)
    return "pack_imigue.py", "--input", folder, "--workers", 1


def pyskl(folder):
    annotation = {
        "frame_dir": "a",
        "keypoint": np.ones((1, 300, 17, 2)),
        "total_frames": 300,
        "label": 0,
    }
    (folder / "in.pkl").write_bytes(pickle.dumps([annotation]))
    return "pack_pyskl.py", "--input", folder / "in.pkl"


def export(folder):
    with store.StoreWriter(
        folder / "in.h5", skeleton.COCO_17, unit="pixel", frames=300, source="test"
    ) as writer:
        writer.add_video("a", np.ones((300, 17, 2)), np.ones((300, 17)))
        writer.add_clip("a", 0, 300)
    return "pack_pyskl.py", "--export", folder / "in.h5"


def agreement(folder):
    rows = [f"v{number:03},0,10,rub\n" for number in range(200)]
    (folder / "clips.csv").write_text("video,start,stop,label\n" + "".join(rows))
    return "agreement.py", "--first", folder / "clips.csv", "--second", folder / "clips.csv"


JOBS = [ntu, nucla, imigue, pyskl, export, agreement]


@pytest.mark.parametrize("job", JOBS)
def test_no_path_in_what_is_written(tmp_path, root, job):
    (tmp_path / "secret").mkdir()
    script, *arguments = job(tmp_path / "secret")
    if job is imigue:
        arguments += ["--report", tmp_path / "report.csv"]
    if job is export:
        arguments += ["--labels", tmp_path / "names.txt"]
    command = [
        sys.executable,
        root / "data_prep" / script,
        *arguments,
        "--output",
        tmp_path / "out",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    written = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(written) == 1 + (job in (imigue, export))
    for path in written:
        for word in (
            b"secret",
            bytes(tmp_path),
            b"in.pkl",
            b"in.h5",
            b"clips.csv",
            script.encode(),
        ):
            assert word not in path.read_bytes(), (path, word)


@pytest.mark.parametrize("job", JOBS)
def test_a_full_disk(tmp_path, root, small_disk, job):
    (tmp_path / "in").mkdir()
    script, *arguments = job(tmp_path / "in")
    done = on_small_disk(
        small_disk,
        sys.executable,
        root / "data_prep" / script,
        *arguments,
        "--output",
        small_disk / "out",
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith("left: \n"), done.stdout
    assert done.stderr.startswith(f"error: {small_disk}"), done.stderr
    assert "No space left on device" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
