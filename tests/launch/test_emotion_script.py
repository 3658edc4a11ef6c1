import json
import subprocess
import sys

import numpy as np
import pytest

from data_prep import simulation


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("emotion") / "interviews.h5"
    simulation.write_store(simulation.simulate(0, videos=8, subjects=4, clips_per_video=6), path)
    return path


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, root / "launch" / "emotion.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_true_labels_from_the_command_line(store, root, tmp_path):
    (tmp_path / "emotion.json").write_text("old")
    done = run(
        root,
        "--store",
        store,
        "--split=cross_subject",
        "--labels",
        "--output",
        tmp_path / "emotion.json",
        "--seeds=1",
        "--epochs=3",
        "--units=4",
        "--layers=2",
    )
    assert done.returncode == 0, done.stderr
    assert f"note: {tmp_path / 'emotion.json'} is there and will be replaced" in done.stderr
    assert (
        "LSTM, together" in done.stdout and "n = 4 videos judged, 4 training videos" in done.stdout
    )
    result = json.loads((tmp_path / "emotion.json").read_text())
    assert result["options"]["layers"] == 2 and result["source"].startswith("simulated")
    assert {row["name"] for row in result["rows"]} >= {"LSTM", "bag of gestures", "majority"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "exactly one of --workdir, --probabilities and --labels"),
        (["--labels", "--workdir=x"], "exactly one of"),
        (["--labels", "--step=3"], "--feature and --step belong to --workdir"),
        (["--probabilities=absent.csv"], "absent.csv: no such file"),
        (["--workdir=absent"], "absent"),
        (["--labels", "--split=nobody"], "no split 'nobody'"),
        (["--labels", "--folds=1"], "folds is 1"),
        (["--labels", "--dropout=1.5"], "dropout is 1.5"),
    ],
)
def test_what_does_not_go_together(arguments, message, store, root, tmp_path):
    done = run(
        root,
        "--store",
        store,
        "--split=cross_subject",
        "--output",
        tmp_path / "emotion.json",
        *arguments,
    )
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_probabilities_made_elsewhere(store, root, tmp_path):
    ids = [f"interview{i + 1:03}" for i in range(8) for _ in range(6)]
    np.savez(
        tmp_path / "other.npz",
        video=ids,
        clip=[c for _ in range(8) for c in range(6)],
        vector=np.random.default_rng(0).random((48, 5)),
    )
    done = run(
        root,
        "--store",
        store,
        "--split=cross_subject",
        "--probabilities",
        tmp_path / "other.npz",
        "--output",
        tmp_path / "emotion.json",
        "--seeds=1",
        "--epochs=2",
        "--units=4",
        "--layers=1",
    )
    assert done.returncode == 0, done.stderr
    assert "vectors of 5" in done.stdout
