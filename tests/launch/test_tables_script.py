"""The tables' script as a user runs it, on tiny simulated interviews."""

import json
import subprocess
import sys

import pytest

from data_prep import simulation

TINY = [
    "--usvae.units=4",
    "--usvae.decoder_units=4",
    "--train.epochs=1",
    "--train.batch_size=16",
    "--train.length_buckets=1",
    "--prepare.fixed_frames=8",
]


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, str(root / "launch" / "tables.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a simulated store."""
    folder = tmp_path_factory.mktemp("tables")
    simulation.write_store(
        simulation.simulate(seed=3, videos=8, subjects=4, clips_per_video=3), folder / "store.h5"
    )
    return folder


def script(root, folder, number, *arguments, output="out"):
    return run(
        root,
        "--store",
        folder / "store.h5",
        "--split=cross_subject",
        "--emotion_split=cross_subject",
        f"--table={number}",
        "--workdir",
        folder / "runs",
        "--output",
        folder / output,
        *arguments,
    )


@pytest.mark.slow
def test_run_and_read(root, folder):
    before = script(root, folder, 2)
    assert before.returncode == 0, before.stderr
    assert (
        "not run" in before.stdout
        and "simulated data" in before.stdout
        and "published top" not in before.stdout
    )
    ran = script(root, folder, 2, "--run", "--seeds=0,1", *TINY)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epoch ") == 2
    result = json.loads((folder / "out" / "table2.json").read_text())
    usvae = next(row for row in result["rows"] if row["key"] == "usvae")
    assert (
        usvae["n"] == 12
        and [one["seed"] for one in usvae["each"]] == ["0", "1"]
        and usvae["published"] is None
    )
    figure = usvae["measured"]["top1"]
    assert figure["low"] <= figure["mean"] <= figure["high"]
    assert figure["mean"] == pytest.approx(sum(one["top1"] for one in usvae["each"]) / 2)
    assert (folder / "out" / "table2.md").read_text() in ran.stdout
    # The row's own options and the recipe's, with the flags beside it.
    described = json.loads((folder / "runs" / "usvae" / "seed1" / "run.json").read_text())
    assert described["options"]["layers"] == 1 and described["options"]["units"] == 4
    assert described["training"]["seed"] == 1 and described["training"]["patience_epochs"] == 20
    # Table 4 takes that run for its cell states, and trains the row of two layers alone. Here
    # with one's own recipe: the default one is not read, a flag beside it wins, and so does what
    # makes the row.
    recipe = folder / "own.flags"
    recipe.write_text(
        "\n".join(["# small", *TINY, "--usvae.layers=3", "--prepare.centre=clip"]) + "\n"
    )
    ran = script(
        root,
        folder,
        4,
        "--run",
        "--rows=usvae_2l",
        f"--recipe=usvae={recipe}",
        "--prepare.fixed_frames=6",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epoch ") == 1
    described = json.loads((folder / "runs" / "usvae_2l" / "seed0" / "run.json").read_text())
    assert described["options"]["layers"] == 2 and described["options"]["units"] == 4
    assert described["training"]["patience_epochs"] == 0
    assert (
        described["preparation"]["centre"] == "clip"
        and described["preparation"]["fixed_frames"] == 6
    )
    ran = script(root, folder, 4, "--run", "--rows=usvae_cell", "--seeds=1", *TINY)
    assert ran.returncode == 0 and "epoch " not in ran.stdout, ran.stderr
    result = json.loads((folder / "out" / "table4.json").read_text())
    assert {row["key"]: row["note"].startswith(("seed", "mean")) for row in result["rows"]} == {
        "predict_cluster": False,
        "usvae_3l": False,
        "usvae_2l": True,
        "usvae_cell": True,
        "usvae": True,
        "untrained": True,
        "prepared_keypoints": False,
        "raw_keypoints": False,
        "majority": False,
    }
    # Table 3 takes it for its vectors; another row is what lies in its folder.
    (folder / "runs" / "tsm_lstm").mkdir()
    ran = script(root, folder, 3, "--run", *TINY)
    assert ran.returncode == 0 and "epoch " not in ran.stdout, ran.stderr
    judged = json.loads((folder / "runs" / "usvae" / "seed0" / "emotion.json").read_text())
    accuracies = [one["accuracy"] for one in judged["rows"] if one["name"] == "LSTM"]
    (folder / "runs" / "tsm_lstm" / "emotion.json").write_text(json.dumps(judged))
    ran = script(root, folder, 3)
    result = json.loads((folder / "out" / "table3.json").read_text())
    rows = {row["key"]: row for row in result["rows"]}
    assert list(rows) == ["usvae_lstm", "tsm_lstm", "labels_lstm", "bag", "majority"]
    assert rows["labels_lstm"]["note"] == "not imported: no labels_lstm/emotion.json"
    assert rows["majority"]["measured"]["accuracy"]["mean"] == 0.5 and rows["majority"]["n"] == 4
    for key, seeds in (("usvae_lstm", ["0/0", "0/1"]), ("tsm_lstm", ["0", "1"])):
        assert [one["accuracy"] for one in rows[key]["each"]] == accuracies
        assert [one["seed"] for one in rows[key]["each"]][:2] == seeds
    # What is finished is only read, here to a file of another name; other options are refused.
    again = script(
        root, folder, 4, "--run", "--rows=usvae_cell", "--seeds=1", *TINY, output="again.md"
    )
    assert again.returncode == 0 and "epoch " not in again.stdout
    assert (folder / "again.md").read_text() == (folder / "out" / "table4.md").read_text()
    assert (folder / "again.json").read_text() == (folder / "out" / "table4.json").read_text()
    other = script(root, folder, 4, "--run", "--rows=usvae", *TINY, "--train.epochs=2")
    assert other.returncode == 1 and "holds a run with training.epochs=1, not 2" in other.stderr


BAD = {
    "a flag of training": (
        ["--train.epochs=3"],
        "--train.epochs is for training; give --run as well",
    ),
    "rows": (["--rows=usvae"], "--rows is for training"),
    "an unknown row": (["--run", "--rows=gpt"], "table 2 has no row 'gpt'"),
    "a row without a model": (["--run", "--rows=tsm"], "cannot be run: for reference"),
    "a seed": (["--run", "--train.seed=3"], "given by --seeds"),
    "seeds": (["--run", "--seeds=0,x"], "--seeds=0,x: expected whole numbers"),
    "a recipe's form": (["--run", "--recipe=mine.flags"], "expected MODEL=RECIPE"),
    "a recipe": (
        ["--run", "--recipe=usvae=folder/none.flags"],
        "none.flags', and no file of that name",
    ),
    "a recipe's flag": (
        ["--run", "--recipe=usvae=folder/bad.flags"],
        "bad.flags: usvae: 'unit' is unknown; did you mean 'units'?",
    ),
    "an unknown model": (["--run", "--recipe=gpt=folder/bad.flags"], "unknown model 'gpt'"),
    "the split": (["--split=yours", "--run"], "no split 'yours'"),
    "the output's folder": (["--output=folder/store.h5/out"], "cannot be made"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_sentence(root, folder, case):
    (folder / "bad.flags").write_text("--usvae.unit=3\n")
    arguments, words = BAD[case]
    result = script(
        root,
        folder,
        2,
        f"--workdir={folder / 'none'}",
        *(argument.replace("folder/", f"{folder}/") for argument in arguments),
        output="bad",
    )
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr[-2000:]
    assert words in result.stderr and not (folder / "none").exists()
