"""launch/train.py as a user runs it: what it recommends afterwards, and what it says of options
that are none.
"""

import os
import subprocess
import sys

import pytest
from test_fit import write_store

SMALL = [
    "--usvae.units=2",
    "--usvae.decoder_units=2",
    "--train.batch_size=8",
    "--train.length_buckets=1",
]


def train(root, *arguments):
    return subprocess.run(
        [sys.executable, root / "launch" / "train.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )


@pytest.mark.slow
def test_a_split_without_test_clips_is_embedded_not_probed(root, tmp_path):
    arguments = [
        "--store",
        write_store(tmp_path / "tiny.h5"),
        "--split=all",
        "--workdir",
        tmp_path / "a run",
        *SMALL,
    ]
    done = train(root, *arguments, "--train.steps=3")
    assert done.returncode == 0, done.stderr
    assert "3 steps in all" in done.stdout and "step 3/3" in done.stdout
    assert (
        f"launch/embed.py --workdir '{tmp_path / 'a run'}'" in done.stdout
        and "probe.py --" not in done.stdout
    )
    refused = train(root, *arguments, "--train.steps=3", "--train.learning_rate=nan")
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1, refused.stderr
    assert refused.stderr.startswith("error: ") and "expected" in refused.stderr
    # What a flag's bounds refuse is said as of any other flag.
    for wrong in ("--train.seed=100000000000000000000", "--usvae.kl_weight=inf"):
        refused = train(root, *arguments, "--train.steps=3", wrong)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr, refused.stderr
        assert wrong.split("=")[1] in refused.stderr


@pytest.mark.slow
def test_how_often_to_judge_is_nothing_without_what_to_judge(root, tmp_path):
    store, folder = write_store(tmp_path / "tiny.h5"), tmp_path / "run"
    arguments = ["--store", store, "--split=all", "--workdir", folder, *SMALL]
    refused = train(root, *arguments, "--validate_every=2")
    assert refused.returncode == 1 and not folder.exists()
    assert refused.stderr == "error: --validate_every belongs to --validation_split\n"
