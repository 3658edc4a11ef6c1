"""The scripts as a user runs them: the whole way on tiny data, and bad input ending in one
sentence.
"""

import json
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from data_prep import openpose, simulation

TINY = [
    "--usvae.units=8",
    "--usvae.decoder_units=8",
    "--usvae.latent_size=8",
    "--train.epochs=2",
    "--train.batch_size=16",
    "--train.length_buckets=2",
    "--prepare.centre=frame",
    "--prepare.velocity=2",
]


def run(root, script, *arguments, cwd=None):
    return subprocess.run(
        [sys.executable, str(root / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def way(root, tmp_path_factory):
    """A folder with a simulated store and a finished run on it, made by the scripts."""
    folder = tmp_path_factory.mktemp("way")
    made = run(
        root,
        "data_prep/simulate.py",
        "--output",
        folder / "interviews",
        "--videos=4",
        "--subjects=4",
        "--clips_per_video=6",
        "--seed=1",
    )
    assert made.returncode == 0, made.stderr
    packed = run(
        root,
        "data_prep/pack_openpose.py",
        "--input",
        folder / "interviews" / "openpose",
        "--output",
        folder / "store.h5",
        "--layout=imigue22",
        "--workers=1",
        "--videos",
        folder / "interviews" / "videos.csv",
        "--clips",
        folder / "interviews" / "clips.csv",
    )
    assert packed.returncode == 0, packed.stderr
    trained = run(
        root,
        "launch/train.py",
        "--store",
        folder / "store.h5",
        "--split=cross_subject",
        "--workdir",
        folder / "run",
        *TINY,
    )
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("epoch ") == 2 and "I0" not in trained.stderr
    assert "found again, changed a lot: trained" in trained.stdout
    return folder


@pytest.mark.slow
def test_the_whole_way(root, way):
    output = way / "probe.json"
    (way / "pictures").mkdir()
    for old in (output, way / "pictures" / "loss.png", way / "embeddings.h5"):
        old.write_text("old")
    probed = run(
        root,
        "launch/probe.py",
        "--workdir",
        way / "run",
        "--store",
        way / "store.h5",
        "--split=cross_subject",
        "--output",
        output,
        "--pictures",
        way / "pictures",
    )
    assert probed.returncode == 0, probed.stderr
    for old in ("probe.json", "pictures/loss.png"):
        assert f"note: {way / old} is there and will be replaced" in probed.stderr
    result = json.loads(output.read_text())
    for key in (
        "top1",
        "top5",
        "mean_class_accuracy",
        "macro_f1",
        "k",
        "metric",
        "n_train",
        "n_test",
        "ci95",
        "feature",
        "step",
        "untrained_top1",
    ):
        assert key in result, key
    assert result["n_train"] + result["n_test"] == 24
    assert result["ci95"][0] <= result["top1"] <= result["ci95"][1]
    for word in (
        "trained",
        "untrained",
        "prepared keypoints",
        "raw keypoints",
        "majority class",
        f"n = {result['n_test']}",
    ):
        assert word in probed.stdout
    assert {path.name for path in (way / "pictures").iterdir()} == {
        "loss.png",
        "confusion.png",
        "embeddings.png",
        "reconstruction.gif",
    }
    embedded = run(
        root,
        "launch/embed.py",
        "--workdir",
        way / "run",
        "--store",
        way / "store.h5",
        "--output",
        way / "embeddings.h5",
    )
    assert embedded.returncode == 0, embedded.stderr
    assert "embeddings.h5 is there and will be replaced" in embedded.stderr
    with h5py.File(way / "embeddings.h5") as file:
        assert file["embedding"].shape == (24, 16) and np.isfinite(file["embedding"][:]).all()
        assert len(file["video"]) == 24 and file.attrs["model"] == "usvae"
    again = run(
        root,
        "launch/train.py",
        "--store",
        way / "store.h5",
        "--split=cross_subject",
        "--workdir",
        way / "run",
        "--nocheck",
        *TINY,
    )
    assert (
        again.returncode == 0
        and "resuming at step" in again.stdout
        and "epoch " not in again.stdout
    )
    assert "found again" not in again.stdout


# What is changed, the script, its flags (folder/ stands for the prepared folder) and words of the
# sentence.
BAD = {
    "unknown flag": ("train", ["--epochs=3"], "there is no flag --epochs"),
    "no workdir": ("train", ["--store=folder/store.h5", "--split=cross_subject"], "workdir"),
    "a stray argument": (
        "train",
        ["stray", "--store=folder/store.h5", "--split=a", "--workdir=folder/x"],
        "'stray'",
    ),
    "no such store": (
        "train",
        ["--store=folder/none.h5", "--split=a", "--workdir=folder/x"],
        "none.h5: no such store",
    ),
    "a store cut short": (
        "train",
        ["--store=folder/cut.h5", "--split=a", "--workdir=folder/x"],
        "cut.h5: not a readable",
    ),
    "unknown split": (
        "train",
        ["--store=folder/store.h5", "--split=mine", "--workdir=folder/x"],
        "no split 'mine'; this store has: all, cross_subject",
    ),
    "unknown model": (
        "train",
        ["--store=folder/store.h5", "--split=cross_subject", "--model=gpt", "--workdir=folder/x"],
        "unknown model 'gpt'",
    ),
    "3D option on 2D data": (
        "train",
        [
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--prepare.axes=all",
            "--workdir=folder/x",
        ],
        "needs 3D keypoints",
    ),
    "impossible option": (
        "train",
        [
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--train.epochs=0",
            "--workdir=folder/x",
        ],
        "epochs is 0",
    ),
    "another run's folder": (
        "train",
        ["--store=folder/store.h5", "--split=cross_subject", "--workdir=folder/run"],
        "holds a run with",
    ),
    "no run": (
        "probe",
        [
            "--workdir=folder/interviews",
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--output=folder/p.json",
        ],
        "interviews: holds no run",
    ),
    "no such step": (
        "probe",
        [
            "--workdir=folder/run",
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--step=1",
            "--output=folder/p.json",
        ],
        "no checkpoint of step 1",
    ),
    "no output folder": (
        "probe",
        [
            "--workdir=folder/run",
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--output=folder/none/p.json",
        ],
        "no such folder to write p.json",
    ),
    "another layout": (
        "probe",
        [
            "--workdir=folder/run",
            "--store=folder/other.h5",
            "--split=cross_subject",
            "--output=folder/p.json",
        ],
        "layout 'body25'",
    ),
    "too many neighbours": (
        "probe",
        [
            "--workdir=folder/run",
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--k=1000",
            "--output=folder/p.json",
        ],
        "k is 1000",
    ),
    "unknown feature": (
        "probe",
        [
            "--workdir=folder/run",
            "--store=folder/store.h5",
            "--split=cross_subject",
            "--feature=soul",
            "--output=folder/p.json",
        ],
        "soul",
    ),
    "damaged checkpoint": (
        "embed",
        ["--workdir=folder/spoilt", "--store=folder/store.h5", "--output=folder/e.h5"],
        "damaged: ",
    ),
}


@pytest.fixture(scope="module")
def bad_way(way, tmp_path_factory):
    """The prepared folder with damaged and foreign things beside."""
    whole = (way / "store.h5").read_bytes()
    (way / "cut.h5").write_bytes(whole[: len(whole) // 3])
    other = simulation.simulate(0, videos=2, subjects=2, clips_per_video=2)
    simulation.write_openpose(other, way / "other")
    openpose.pack(
        way / "other" / "openpose",
        way / "other.h5",
        "body25",
        videos=way / "other" / "videos.csv",
        clips=way / "other" / "clips.csv",
    )
    shutil.copytree(way / "run", way / "spoilt")
    for path in (way / "spoilt" / "checkpoints").rglob("d/*"):
        path.write_bytes(b"")
    return way


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_sentence(root, bad_way, case):
    script, arguments, words = BAD[case]
    before = sorted(path for path in bad_way.iterdir())
    arguments = [argument.replace("folder/", f"{bad_way}/") for argument in arguments]
    result = run(root, pathlib.Path("launch") / f"{script}.py", *arguments)
    assert result.returncode != 0
    assert words in result.stderr and "Traceback" not in result.stderr, result.stderr[-2000:]
    assert sorted(path for path in bad_way.iterdir()) == before, "something was written"
