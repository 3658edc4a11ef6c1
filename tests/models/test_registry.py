"""Models by name: one's own, registered or named by where they are, and what a task misses."""

import dataclasses
import textwrap

import pytest
from flax import nnx

from mgjax import models
from mgjax.errors import InputError


class Small(nnx.Module):
    """A model that trains and does no more."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        units: int = 4

    def __init__(self, config, layout, channels, classes, *, rngs):
        self.config = config

    def loss(self, batch, rng):
        """A loss."""


def test_a_registered_model_is_known_by_its_name():
    assert models.register("small", Small) is Small is models.get("small")
    assert models.config_of(Small) is Small.Config

    @models.register("other")
    class Other(nnx.Module):
        """One without options."""

    assert models.get("other") is Other and models.config_of(Other) is models.NoOptions
    assert models.NoOptions() == models.NoOptions()


def test_a_cell_run_again_replaces_its_model_and_another_does_not():
    def make():
        class Mine(nnx.Module):
            """Made anew at every call, like a notebook's."""

        return Mine

    first, again = make(), make()
    models.register("mine", first)
    assert models.register("mine", again) is models.get("mine") is again
    with pytest.raises(InputError, match="'usvae' is known already, mgjax.models.usvae.USVAE"):
        models.register("usvae", Small)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a:b", "3d", "train", "prepare", 3, None])
def test_a_name_is_an_identifier_that_flags_do_not_begin_with(name):
    with pytest.raises(InputError, match="cannot be called .*expected a Python identifier"):
        models.register(name, Small)


def test_what_is_no_model_is_refused():
    class Plain:
        """No nnx.Module."""

    class Soft(nnx.Module):
        """Its options could change under it."""

        @dataclasses.dataclass
        class Config:
            units: int = 4

    class Bare(nnx.Module):
        """An option without a default has no flag."""

        @dataclasses.dataclass(frozen=True)
        class Config:
            units: int

    for wrong, words in (
        (Plain, "expected a class of nnx.Module"),
        (3, "is 3, expected a class"),
        (Soft, "Config is not a frozen dataclass"),
        (Bare, "option units has no default"),
    ):
        with pytest.raises(InputError, match=f"^model 'wrong'.*{words}"):
            models.register("wrong", wrong)
    assert "wrong" not in models.MODELS


def test_an_unknown_name_says_how_to_make_it_known():
    with pytest.raises(InputError, match="unknown model 'usvea'; did you mean 'usvae'.*register"):
        models.get("usvea")
    with pytest.raises(InputError, match="unknown model 'gpt'; known are usvae; .*package.module"):
        models.get("gpt")


def test_a_model_is_named_by_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        textwrap.dedent("""
        from flax import nnx

        class Velocity(nnx.Module):
            pass

        number = 3
        """)
    )
    (tmp_path / "broken_models.py").write_text("import nothing_of_that_name")
    (tmp_path / "circular_models.py").write_text("from circular_models import nothing")
    monkeypatch.syspath_prepend(tmp_path)
    assert models.get("my_models:Velocity").__name__ == "Velocity"
    assert models.group_of("my_models:Velocity") == "Velocity"
    for wrong, words in (
        ("my_models:Velocty", "module my_models has no 'Velocty'; did you mean 'Velocity'"),
        ("my_models:number", "is 3, expected a class of nnx.Module"),
        ("my_model:Velocity", "there is no module 'my_model'; its folder must be in PYTHONPATH"),
        ("broken_models:A", "there is no module 'nothing_of_that_name'"),
        ("circular_models:A", "its module cannot be imported"),
        (":A", "its module cannot be imported"),
        (".a:A", "its module cannot be imported"),
        ("my_models:", "has no ''"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            models.get(wrong)
        assert "\n" not in str(caught.value)


def test_what_a_task_misses_is_said_in_a_sentence():
    models.need(Small, "loss", "training")
    with pytest.raises(InputError, match="^embedding needs encode.batch. .*; Small has none$"):
        models.need(Small, "encode", "embedding")
    model = Small(Small.Config(), None, 2, 0, rngs=None)
    with pytest.raises(InputError, match="^judging needs logits.batch. .*; Small has none$"):
        models.need(model, "logits", "judging")
