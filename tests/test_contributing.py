"""The templates of CONTRIBUTING.md: put where they say, they work as they are."""

import os
import re
import shutil
import subprocess
import sys

import doc_blocks
import pytest

REGISTRY = "mgjax/models/__init__.py"


@pytest.fixture(scope="module")
def tree(root, tmp_path_factory):
    """A copy of the packages with the templates in it, and the paths of the new files."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("mgjax", "data_prep"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, folder / name, ignore=ignored)
    shutil.copy(root / "pyproject.toml", folder)
    new = []
    for block in doc_blocks.blocks(root / "CONTRIBUTING.md"):
        path = folder / block.title
        if block.title == REGISTRY:
            add_lines(path, block.text)
        elif block.title:
            assert not path.exists(), f"{block.title} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            new.append(block.title)
    return folder, new


def add_lines(path, text):
    """Put the import beside the others of its kind, and the name into the table of models."""
    line, entry = (line.partition("  #")[0] for line in text.splitlines() if line)
    old = path.read_text(encoding="utf-8")
    end = re.search(r"^MODELS.*?(?=^\})", old, re.MULTILINE | re.DOTALL).end()
    new = f"{old[:end]}{entry}\n{old[end:]}"
    last = max(match.end() for match in re.finditer(r"^from mgjax\.models.*\n", new, re.MULTILINE))
    path.write_text(f"{new[:last]}{line}\n{new[last:]}", encoding="utf-8")


def run(folder, *command, **how):
    environment = os.environ | {"PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, **how
    )


def test_there_is_a_template_of_every_step(tree):
    folders = [path.rpartition("/")[0] for path in tree[1]]
    assert folders == [
        *("mgjax/models", "tests/models", "mgjax/recipes"),
        *("data_prep", "data_prep", "tests/data_prep"),
    ]


@pytest.mark.slow
def test_the_templates_tests_pass(tree):
    folder, _ = tree
    done = run(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "9 passed" in done.stdout


@pytest.mark.slow
def test_the_recipe_trains_the_model(tree):
    folder, _ = tree
    example = """
from data_prep import simulation
from mgjax.store import Store
from mgjax.training import Run, fit

simulated = simulation.simulate(seed=1, videos=4, subjects=4, clips_per_video=4)
simulation.write_store(simulated, "interviews.h5", workers=1)
with Store("interviews.h5") as store:
    run = Run.from_recipe("velocity_gru", store, split="all", train={"steps": 2})
    assert fit(run, store, "run") == 0
print(run.model)
"""
    done = run(folder, sys.executable, "-c", example)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "velocity_gru"


@pytest.mark.slow
def test_the_script_of_the_format_packs_a_table(tree):
    folder, _ = tree
    (folder / "joints.csv").write_text("video,frame,joint,x,y,score\nanna,0,Nose,1,2,1\n")
    script = [sys.executable, "data_prep/pack_joint_rows.py", "--layout", "imigue22"]
    done = run(folder, *script, "--input", "joints.csv", "--output", "study.h5")
    assert done.returncode == 0 and done.stdout == "wrote study.h5\n", done.stderr


def test_the_templates_are_in_the_house_style(tree):
    pytest.importorskip("ruff", reason="ruff is not here")
    folder, new = tree
    python = [path for path in new if path.endswith(".py")]
    for command in (["format", "--check"], ["check", "--no-cache"]):
        done = run(folder, sys.executable, "-m", "ruff", *command, *python)
        assert done.returncode == 0, done.stdout + done.stderr
