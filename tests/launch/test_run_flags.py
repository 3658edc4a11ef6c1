"""Options as flags, read in this process: recipes, one's own model, old names."""

import importlib
import sys
import textwrap

import numpy as np
import pytest
from absl import flags

from mgjax import models
from mgjax.errors import InputError
from mgjax.skeleton import COCO_17
from mgjax.store import Store
from mgjax.store_writer import StoreWriter
from mgjax.training import Run

NEEDED = ["--store=s.h5", "--split=all", "--workdir=w"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An opened store of a clip."""
    path = tmp_path_factory.mktemp("flags") / "store.h5"
    with StoreWriter(path, COCO_17, unit="pixel", frames=3, source="a test") as writer:
        writer.add_video("v", np.zeros((3, 17, 2)), np.ones((3, 17)))
        writer.add_clip("v", 0, 3, "a class")
    with Store(path) as opened:
        yield opened


@pytest.fixture
def read(root, store, monkeypatch):
    """A function that gives the run of a command line of launch/train.py."""
    monkeypatch.syspath_prepend(root / "launch")
    run_flags, train = map(importlib.import_module, ("run_flags", "train"))
    before = set(flags.FLAGS)

    def read(*arguments):
        argv = ["train.py", *NEEDED, *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        train.define_flags()
        flags.FLAGS(argv)
        return run_flags.run_from_flags(store, "all")

    yield read
    defined = [name for name in flags.FLAGS if name not in before]
    flags.FLAGS.remove_flag_values(defined)
    flags.FLAGS.unparse_flags()


@pytest.fixture
def my_models(tmp_path, monkeypatch):
    """A module of models that can be imported."""
    (tmp_path / "models_of_mine.py").write_text(
        textwrap.dedent("""
        import dataclasses
        from typing import Literal

        from flax import nnx


        class Velocity(nnx.Module):
            @dataclasses.dataclass(frozen=True)
            class Config:
                units: int = 4
                cell: Literal["lstm", "gru"] = "gru"
                sizes: tuple = (1, 2)


        class Plain(nnx.Module):
            pass
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_without_a_flag_a_run_has_the_defaults(read, store):
    assert read() == Run.from_options("usvae", store, split="all")


def test_flags_win_over_a_recipe_wherever_they_stand(read, store):
    run = read("--train.steps=3", "--recipe=usvae_nucla", "--noprepare.fill_unseen")
    changes = {"train": {"steps": 3}, "prepare": {"fill_unseen": False}}
    assert run == Run.from_recipe("usvae_nucla", store, split="all", **changes)
    assert run.augmentation.tilt == 0.2


def test_a_recipe_is_a_file_of_flags_too(read, root, store):
    run = read(f"--flagfile={root / 'mgjax' / 'recipes' / 'usvae_nucla.flags'}")
    assert run == Run.from_recipe("usvae_nucla", store, split="all")


def test_a_model_of_ones_own_has_its_flags(read, my_models):
    run = read("--model", "models_of_mine:Velocity", "--Velocity.units=3", "--Velocity.cell=lstm")
    assert run.model == "models_of_mine:Velocity"
    assert (run.options.units, run.options.cell, run.options.sizes) == (3, "lstm", (1, 2))
    again = Run.from_dict(run.to_dict())
    assert again.options.units == 3 and again.model == run.model


def test_a_model_without_options_has_none(read, my_models):
    run = read("--model=models_of_mine:Plain")
    assert run.options == models.NoOptions()


def test_a_recipe_names_its_model(read, my_models, tmp_path):
    path = tmp_path / "mine.flags"
    path.write_text("# mine\n--model=models_of_mine:Velocity\n--Velocity.units=5\n")
    run = read("--Velocity.cell=lstm", f"--recipe={path}")
    assert (run.options.units, run.options.cell) == (5, "lstm")


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--train.together=8", "it is now --train.steps_per_call"),
        ("--noprepare.fill", "it is now --prepare.fill_unseen"),
        ("--prepare.fill", "it is now --prepare.fill_unseen"),
        ("--usvae.kl=0.1", "it is now --usvae.kl_weight"),
        ("--train.schedule=rising", "value should be one of <constant[|]cosine[|]staircase>"),
        ("--train.schedule=steps", "steps is now staircase"),
        ("--train.epochs=-1", "not a non-negative integer"),
        ("--usvae.units=0", "is not an integer in the range"),
        ("--train.step=3", "Unknown command line flag 'train.step'"),
    ],
)
def test_flags_that_are_none_or_were_renamed(read, argument, words):
    with pytest.raises(flags.Error, match=words):
        read(argument)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--usvae.units=3", "--model=models_of_mine:Plain"], "units is given, but the model is"),
        (["--train.learning_rate=nan"], "learning_rate is nan, expected a finite number"),
        (["--model=gpt"], "unknown model 'gpt'"),
        (["--recipe=usvae_nucla", "--model=models_of_mine:Plain"], "usvae"),
    ],
)
def test_what_flags_cannot_say_is_said_by_the_run(read, my_models, arguments, words):
    with pytest.raises((InputError, SystemExit), match=words):
        read(*arguments)


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--model=models_of_nobody:A", "no module 'models_of_nobody'; its folder must be in"),
        ("--recipe=usvae_nuclea", "no recipe 'usvae_nuclea'.*did you mean 'usvae_nucla'"),
    ],
)
def test_a_model_or_recipe_that_is_not_there_ends_in_a_sentence(read, argument, words):
    with pytest.raises(SystemExit, match=f"^error: .*{words}"):
        read(argument)


def test_help_leaves_old_names_out_and_says_bounds(read):
    read()
    text = flags.FLAGS.get_help()
    assert "--train.steps_per_call" in text and "--train.together" not in text
    assert "a positive integer" in text and "<constant|cosine|staircase>" in text
