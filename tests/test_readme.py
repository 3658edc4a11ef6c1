"""README.md, CONTRIBUTING.md and the pages: their commands, names and examples are real ones."""

import configparser
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import doc_blocks
import pytest
from absl import flags


def files_of(root):
    return doc_blocks.documents(root)


def flags_of(script, monkeypatch):
    """Names of the flags that a script defines, and those of them that take no value."""
    monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
    monkeypatch.setattr(sys, "argv", [str(script)])
    before = set(flags.FLAGS)
    specification = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        module.define_flags()
        new = set(flags.FLAGS) - before
        # An old name only says the new one.
        names = {name for name in new if not flags.FLAGS[name].help.startswith("now --")}
        boolean = {name for name in names if flags.FLAGS[name].boolean}
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
    return names, boolean


@pytest.fixture(scope="module")
def script_flags(root):
    """The flags of every script of launch/ and data_prep/ that has some, by its path."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = {}
        for folder in ("launch", "data_prep"):
            for script in sorted((root / folder).glob("*.py")):
                if "run_script(" in script.read_text(encoding="utf-8"):
                    path = script.relative_to(root).as_posix()
                    found[path] = flags_of(script, monkeypatch)
        return found


def unknown_flags(words, names, boolean):
    """Those of a command line's words that are flags, and none of these."""
    names = names | {f"no{name}" for name in boolean} | {"help", "flagfile"}
    given = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
    # Options of a model of one's own are flags once it is named.
    own = [word.rpartition(":")[2] for word in words if ":" in word]
    own += ["Class", "velocity_gru"]  # as the text and the template of CONTRIBUTING.md call it
    return [name for name in given if name not in names and name.partition(".")[0] not in own]


def test_readme_is_short(root):
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_commands_exist_and_know_the_flags_that_are_shown(root, script_flags):
    seen = set()
    for path in files_of(root):
        for words in doc_blocks.commands(path):
            if words[0] == "python" and words[1] in script_flags:
                unknown = unknown_flags(words[2:], *script_flags[words[1]])
                assert not unknown, f"{path.name}: {words[1]} has no --{unknown[0]}"
                seen.add(words[1])
            elif words[0] in ("python", "bash"):
                assert (root / words[1]).is_file(), f"{path.name}: {' '.join(words)}"
            elif words[:2] == ["mkdocs", "serve"]:
                assert (root / words[words.index("-f") + 1]).is_file(), path.name
            else:
                known = ("pip", "ruff", "mypy", "mkdir", "how=")
                assert words[0].startswith(known), f"{path.name}: {' '.join(words)}"
    missing = {name for name in script_flags if name not in seen}
    assert not missing, f"shown nowhere: {missing}"


def test_extras_that_are_installed_exist(root):
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    known = set(config["options.extras_require"])
    for path in files_of(root):
        text = path.read_text(encoding="utf-8")
        for extras in re.findall(r"\.\[([\w,]+)\]", text):
            assert set(extras.split(",")) <= known, f"{path.name}: [{extras}]"


def test_flags_in_the_text_are_some_scripts(root, script_flags):
    names = set().union(*(names for names, _ in script_flags.values()))
    boolean = set().union(*(boolean for _, boolean in script_flags.values()))
    names |= {"oldest", "style", "no-deps"}  # of tests/run.sh and pip
    campaign = (root / "tests" / "campaign.py").read_text(encoding="utf-8")
    names |= set(re.findall(r'\badd\(\s*"--(\w+)"', campaign))
    for path in files_of(root):
        for code in doc_blocks.codes(path):
            unknown = unknown_flags(code.split(), names, boolean)
            assert not unknown, f"{path.name}: no script has --{unknown[0]}"


def test_files_and_names_in_the_text_exist(root):
    for path in files_of(root):
        for code in doc_blocks.codes(path):
            if re.fullmatch(r"(mgjax|data_prep|launch|tests|docs|\.ci)/[\w./*-]*", code):
                assert list(root.glob(code)), f"{path.name}: {code}"
            elif re.fullmatch(r"(mgjax|data_prep)(\.\w+)+", code):
                assert resolves(code), f"{path.name}: {code}"


def resolves(dotted):
    """Whether a dotted name is a module's, or that of something in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name, None)
        return found is not None
    return False


# The library example

RUNS = {"first": "usvae", "mine": "mean_pose"}


@pytest.fixture(scope="module")
def example(root):
    """The Python blocks of the README, as one script."""
    return "\n".join(
        block.text for block in doc_blocks.blocks(root / "README.md") if block.language == "python"
    )


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """A folder into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for name in ("mgjax", "data_prep"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, source / name, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr.strip().splitlines()[-1]}")
    (path,) = folder.glob("*.whl")
    installed = folder / "installed"
    command = [*pip, "install", "--no-deps", "--target", str(installed), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return installed


def run_example(example, packages, folder):
    """Run the example in an empty folder, with the packages of one place alone; what it printed."""
    said = "\nimport mgjax\nprint('mgjax of', mgjax.__file__)\n"
    environment = os.environ | {"PYTHONPATH": str(packages), "JAX_PLATFORMS": "cpu"}
    (folder / "example.py").write_text(example + said, encoding="utf-8")
    command = [sys.executable, "-P", "-W", "error::DeprecationWarning:__main__", "example.py"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"mgjax of {packages}" in done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_example_trains_names_neighbours_and_takes_a_model_from_a_wheel(
    example, wheel, tmp_path
):
    said = run_example(example, wheel, tmp_path)
    assert said.count(" is nearest to ") == 3
    runs = [json.loads((tmp_path / "runs" / name / "run.json").read_text()) for name in RUNS]
    assert [run["model"] for run in runs] == list(RUNS.values())
    for name in RUNS:
        lines = (tmp_path / "runs" / name / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["loss"] < json.loads(lines[0])["loss"]
