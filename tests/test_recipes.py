"""Recipes: read by name, and the run that they describe."""

import dataclasses

import numpy as np
import pytest
from flax import nnx

from mgjax import models, options, recipes
from mgjax.errors import InputError
from mgjax.skeleton import COCO_17
from mgjax.store import Store
from mgjax.store_writer import StoreWriter
from mgjax.training.groups import GROUPS
from mgjax.training.run import Run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An opened store of a clip."""
    path = tmp_path_factory.mktemp("recipes") / "store.h5"
    with StoreWriter(path, COCO_17, unit="pixel", frames=3, source="a test") as writer:
        writer.add_video("v", np.zeros((3, 17, 2)), np.ones((3, 17)))
        writer.add_clip("v", 0, 3, "a class")
    with Store(path) as opened:
        yield opened


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_says_its_command_its_model_and_known_options(name, store):
    read = recipes.read(name)
    first, *rest = read.comment.splitlines()
    assert first.startswith(("python ", "bash ")) and any(rest)
    assert "--recipe" in read.comment or name == "quickstart"
    kinds = GROUPS | {read.model: models.config_of(models.get(read.model))}
    for group, given in read.options.items():
        known = options.named(kinds[group], given, group)
        for option, text in given.items():
            known[option].check(known[option].parse(text), group)
    run = Run.from_recipe(name, store, split="all", seed=3)
    assert run.model == read.model and run.training.seed == 3 and run.classes == ("a class",)
    assert Run.from_dict(run.to_dict()) == run


def test_switches_numbers_and_text(tmp_path, store):
    path = tmp_path / "mine.flags"
    path.write_text(
        "# a command\n#\n# A word.\n\n--usvae.symmetric\n--noprepare.fill_unseen\n"
        "--train.steps=7\n  --train.learning_rate=1e-3  \n# more\n--train.schedule=cosine\n"
    )
    read = recipes.read(path)
    assert read.comment == "a command\n\nA word." and read.model is None
    run = Run.from_recipe(str(path), store, split="all")
    assert run.model == "usvae" and run.options.symmetric and not run.preparation.fill_unseen
    assert (run.training.steps, run.training.learning_rate) == (7, 1e-3)
    assert run.training.schedule == "cosine"


@pytest.mark.parametrize(
    "line, words",
    [
        ("--train.step=3", "train: 'step' is unknown; did you mean 'steps'"),
        ("--train.together=3", "train: together is now steps_per_call"),
        ("--train.schedule=steps", "schedule is 'steps', which is now 'staircase'"),
        ("--train.steps=many", "train: steps is 'many', expected a whole number"),
        ("--train.steps=-1", "train: steps is -1, expected at least 0"),
        ("--trian.steps=1", "there are no options 'trian'; did you mean 'train'"),
        ("--steps=1", "mine.flags, line 2: '--steps=1', expected a flag of a run"),
        ("train.steps=1", "line 2: 'train.steps=1', expected a flag of a run"),
        ("--model=gpt", "unknown model 'gpt'"),
    ],
)
def test_a_recipe_that_is_wrong_is_named(tmp_path, store, line, words):
    path = tmp_path / "mine.flags"
    path.write_text(f"# a command\n{line}\n")
    with pytest.raises(InputError, match=words) as caught:
        Run.from_recipe(path, store, split="all")
    assert str(path) in str(caught.value)


def test_what_is_no_recipe_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recipe 'usvae_nuclea'.*did you mean 'usvae_nucla'"):
        recipes.find("usvae_nuclea")
    with pytest.raises(InputError, match="no recipe .*; there are quickstart, "):
        recipes.find(tmp_path / "zzz")
    (tmp_path / "bytes.flags").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="bytes.flags"):
        recipes.read(tmp_path / "bytes.flags")


def test_changes_win_by_group_or_one_by_one(store):
    changes = {"train": {"steps": 3}, "usvae.units": 4, "train.learning_rate": 1}
    run = Run.from_recipe("quickstart", store, split="all", **changes)
    assert run.training.steps == 3 and run.options.units == 4
    assert run.training.learning_rate == 1.0 and run.training.batch_size == 32
    plain = Run.from_options("usvae", store, split="all", prepare={"velocity": 2})
    assert plain.preparation.velocity == 2.0 and plain.training == GROUPS["train"]()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"train": {"step": 3}}, "train: 'step' is unknown; did you mean 'steps'"),
        ({"training": {"steps": 3}}, "there are no options 'training'; did you mean 'train'"),
        ({"train": 3}, "train is 3, expected a dict of its options"),
        ({"train.steps": "many"}, "train: steps is 'many', expected a whole number"),
        ({"train.clip_norm": 1.0}, "train: clip_norm is now gradient_clip_norm"),
        ({"zzz.steps": 3}, "zzz.steps: there are no options 'zzz', expected one of prepare"),
        ({"model": "gpt"}, "unknown model 'gpt'"),
    ],
)
def test_changes_of_what_is_not_there_are_refused(store, changes, words):
    with pytest.raises(InputError, match=words):
        Run.from_recipe("quickstart", store, split="all", **changes)


def test_what_is_no_number_or_text_is_not_set_by_a_recipe(tmp_path, store, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Config:
        sizes: tuple = (1, 2)

    monkeypatch.setitem(models.MODELS, "mine", type("Mine", (nnx.Module,), {"Config": Config}))
    path = tmp_path / "mine.flags"
    path.write_text("--model=mine\n--mine.sizes=1,2\n")
    with pytest.raises(InputError, match="mine: sizes cannot be given as text"):
        Run.from_recipe(path, store, split="all")
    run = Run.from_options("mine", store, split="all", mine={"sizes": (3,)})
    assert run.options == Config((3,))


def test_options_of_another_known_model_are_refused(store, monkeypatch):
    monkeypatch.setitem(models.MODELS, "other", models.MODELS["usvae"])
    with pytest.raises(InputError, match="other.units is given, but the model is usvae"):
        Run.from_recipe("quickstart", store, split="all", **{"other.units": 3})
