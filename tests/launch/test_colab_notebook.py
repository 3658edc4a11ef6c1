"""The Colab notebook: a clean file, and its cells do what they say, run one after the other as
plain Python.
"""

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys

import jax
import pytest

from mgjax import models
from mgjax.preparation import Augmentation, Preparation
from mgjax.training import TrainOptions

# Runs the code cells whose numbers are given, in one namespace, as a kernel does. What precedes
# may replace things.
DRIVER = """
import json, sys
{before}
with open({path!r}, encoding="utf-8") as file:
    cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
namespace = {{"__name__": "__main__"}}
for number in {numbers!r}:
    source = "".join(cells[number]["source"])
    for old, new in {replaced!r}.items():
        source = source.replace(old, new)
    exec(compile(source, f"code cell {{number}}", "exec"), namespace)
    print(f"== code cell {{number}} done", flush=True)
"""

# pip stands still, and h5py seems not to be there until it was called; what it was called with is
# printed.
WITHOUT_H5PY = """
import subprocess
from importlib import metadata
real, commands = metadata.version, []
def version(name):
    if name == "h5py" and not commands:
        raise metadata.PackageNotFoundError(name)
    return {drifted!r} if commands and name == "flax" and {drifted!r} else real(name)
def run(command, **_):
    commands.append(command)
    print("CALLED", json.dumps(command))
    return subprocess.CompletedProcess(command, {code})
metadata.version, subprocess.run = version, run
"""


@pytest.fixture(scope="module")
def notebook(root):
    return json.loads((root / "launch" / "colab_tpu.ipynb").read_text(encoding="utf-8"))


def execute(root, folder, numbers, before="", replaced=None):
    """Run code cells in a process of its own, in a folder, the checkout found by nothing but the
    notebook itself.
    """
    driver = DRIVER.format(
        path=str(root / "launch" / "colab_tpu.ipynb"),
        numbers=list(numbers),
        before=before,
        replaced=replaced or {},
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "REPOSITORY")
    }
    environment |= {"MGJAX_NOTEBOOK_SMALL": "1", "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-c", driver],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def executed(root, notebook, tmp_path_factory):
    """All cells run in a new folder with the checkout beside, and the training cell once more;
    folder and result.
    """
    folder = tmp_path_factory.mktemp("colab")
    (folder / "mgjax").symlink_to(root)
    count = sum(cell["cell_type"] == "code" for cell in notebook["cells"])
    result = execute(root, folder, [*range(count), 3])
    assert result.returncode == 0, result.stderr[-3000:]
    return folder / "quickstart" / "small", result.stdout


def test_the_file_is_a_clean_notebook_for_a_tpu(notebook):
    assert notebook["nbformat"] == 4 and isinstance(notebook["nbformat_minor"], int)
    metadata = notebook["metadata"]
    assert metadata["accelerator"] == "TPU" and metadata["colab"]["gpuType"] == "V5E1"
    assert metadata["kernelspec"]["name"] == "python3" and metadata["kernelspec"]["display_name"]
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert isinstance(cell["metadata"], dict) and all(
            isinstance(line, str) for line in cell["source"]
        )
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            compile("".join(cell["source"]), "cell", "exec")  # pure Python: no ! and no %
        else:
            assert not {"outputs", "execution_count"} & set(cell)


def test_a_trained_run_a_table_and_pictures(executed):
    work, said = executed
    metrics = [
        json.loads(line) for line in (work / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [record["epoch"] for record in metrics] == [0, 1]
    assert (work / "run" / "checkpoints" / str(metrics[-1]["step"])).is_dir()
    table = json.loads((work / "probe.json").read_text())
    assert table["n_train"] + table["n_test"] == 24 and table["step"] == metrics[-1]["step"]
    assert table["ci95"][0] <= table["top1"] <= table["ci95"][1]
    for words in (
        "95 % interval",
        "untrained",
        "raw keypoints",
        "majority class",
        f"n = {table['n_test']} test clips",
    ):
        assert words in said, words
    heads = {
        "loss.png": b"\x89PNG",
        "confusion.png": b"\x89PNG",
        "embeddings.png": b"\x89PNG",
        "reconstruction.gif": b"GIF8",
    }
    assert {path.name: path.read_bytes()[:4] for path in (work / "pictures").iterdir()} == heads


def test_it_says_which_jax_and_device_it_uses_and_cells_can_be_run_again(executed):
    _, said = executed
    assert (
        f"jax {jax.__version__}" in said
        and "No TPU is here: the cells below run on the cpu." in said
    )
    again = said.split("== code cell 5 done")[1]
    assert "resuming at step" in again and "epoch " not in again


def test_the_options_are_the_quickstart_recipe(root, executed):
    options = json.loads((executed[0] / "run" / "run.json").read_text())
    assert options["model"] == "usvae" and options["split"] == "cross_subject"
    groups = {
        "usvae": (models.get("usvae").Config, "options"),
        "prepare": (Preparation, "preparation"),
        "augment": (Augmentation, "augmentation"),
        "train": (TrainOptions, "training"),
    }
    expected = {group: dataclasses.asdict(kind()) for group, (kind, _) in groups.items()}
    recipe = (root / "mgjax" / "recipes" / "quickstart.flags").read_text()
    for flag in shlex.split(recipe, comments=True):
        if flag == "--model=usvae":
            continue
        name, _, value = flag.removeprefix("--").partition("=")
        group, field = name.split(".")
        expected[group][field] = type(expected[group][field])(value) if value else True
    expected["train"]["steps"] = 2  # the small way
    assert {group: options[key] for group, (_, key) in groups.items()} == expected


def test_pip_gets_the_installed_versions_as_constraints(root, tmp_path):
    (tmp_path / "mgjax").symlink_to(root)
    result = execute(root, tmp_path, [0, 1], WITHOUT_H5PY.format(code=0, drifted=""))
    assert result.returncode == 0, result.stderr[-2000:]
    (called,) = [line for line in result.stdout.splitlines() if line.startswith("CALLED")]
    command = json.loads(called.removeprefix("CALLED"))
    assert command[:4] == [sys.executable, "-m", "pip", "install"] and "--upgrade" not in command
    assert command[command.index("--editable") + 1] == f"{tmp_path / 'mgjax'}[plots]"
    constraints = tmp_path / "quickstart" / "small" / "constraints.txt"
    assert command[command.index("--constraint") + 1] == str(constraints)
    lines = constraints.read_text().splitlines()
    assert f"jax=={jax.__version__}" in lines and {"jaxlib", "flax", "numpy"} <= {
        each.split("==")[0] for each in lines
    }


@pytest.mark.parametrize(
    "code, drifted, words",
    [
        (1, "", "pip could not install mgjax's packages beside jax=="),
        (0, "99.0", "and is now 99.0: delete this runtime and begin again"),
    ],
    ids=["pip fails", "a version changed"],
)
def test_a_bad_installation_ends_in_one_sentence(root, tmp_path, code, drifted, words):
    (tmp_path / "mgjax").symlink_to(root)
    result = execute(root, tmp_path, [0, 1], WITHOUT_H5PY.format(code=code, drifted=drifted))
    assert result.returncode == 1 and "code cell 1 done" not in result.stdout
    assert words in result.stderr.splitlines()[-1] and "Traceback" not in result.stderr


def test_the_code_is_cloned_or_unpacked_or_asked_for(root, tmp_path):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    missing = execute(root, nowhere, [0])
    assert (
        missing.returncode == 1 and "no checkout of mgjax is here; set REPOSITORY" in missing.stderr
    )
    assert len(missing.stderr.splitlines()) == 1 and not list(nowhere.iterdir())

    origin = tmp_path / "origin"
    (origin / "mgjax").mkdir(parents=True)
    (origin / "mgjax" / "__init__.py").touch()
    (origin / "setup.cfg").touch()
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    (tmp_path / "packed" / "mgjax-main").parent.mkdir()
    shutil.copytree(origin, tmp_path / "packed" / "mgjax-main")
    shutil.make_archive(str(zipped / "mgjax"), "zip", tmp_path / "packed")
    unpacked = execute(root, zipped, [0])
    assert unpacked.returncode == 0 and f"code: {zipped / 'mgjax-main'}" in unpacked.stdout, (
        unpacked.stderr
    )

    if not shutil.which("git"):
        pytest.skip("git is not here: cloning is not tested")
    for command in ("init -q", "add .", "-c user.name=t -c user.email=t@t commit -qm t"):
        subprocess.run(["git", *command.split()], cwd=origin, check=True)
    address = {'REPOSITORY = ""': f"REPOSITORY = {origin.as_uri()!r}"}
    cloned = execute(root, nowhere, [0], replaced=address)
    assert cloned.returncode == 0 and f"code: {nowhere / 'mgjax'}" in cloned.stdout, cloned.stderr
    shutil.rmtree(nowhere)
    nowhere.mkdir()
    failed = execute(
        root,
        nowhere,
        [0],
        replaced={'REPOSITORY = ""': f"REPOSITORY = {(tmp_path / 'no').as_uri()!r}"},
    )
    assert (
        failed.returncode == 1
        and "no: cannot be cloned (" in failed.stderr
        and "Traceback" not in failed.stderr
    )
