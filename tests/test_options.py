"""Options said once: what is refused and in which words, what JSON and help() make of them."""

import dataclasses
import json
import math
from typing import Literal

import hypothesis
import pytest
from hypothesis import strategies

from mgjax import models, options
from mgjax.errors import InputError
from mgjax.evaluation.video_emotion import EmotionOptions
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.options import option
from mgjax.training.groups import GROUPS

EVERY_KIND = [
    *GROUPS.values(),
    *(models.config_of(model) for model in models.MODELS.values()),
    EmotionOptions,
    EmotionLSTM.Config,
]


@options.group("walk")
class WalkOptions:
    """How to walk."""

    speed: float = option(1.4, "metres a second", above=0, most=12, formerly="velocity")
    share: float = option(0.5, "of the way", least=0, below=1)
    steps: int = option(10, "steps to take", least=1)
    way: Literal["there", "back"] = option("there", "which way", values_formerly={"hither": "back"})
    name: str = option("", "a name")
    fast: bool = option(False, "hurry")

    def validate(self):
        if self.fast and self.steps > 100:
            raise InputError("walk: too far to be fast")


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"speed": 0.0}, "speed is 0.0, expected more than 0 and at most 12"),
        ({"speed": 13}, "speed is 13, expected more than 0 and at most 12"),
        ({"share": 1.0}, "share is 1.0, expected at least 0 and less than 1"),
        ({"share": math.nan}, "share is nan, expected a finite number"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"steps": True}, "steps is True, expected a whole number within ±2147483647"),
        ({"steps": 2.0}, "steps is 2.0, expected a whole number"),
        ({"way": "bakc"}, "way is 'bakc', expected one of there, back; did you mean 'back'[?]"),
        ({"way": 3}, "way is 3, expected one of there, back$"),
        ({"way": "hither"}, "way is 'hither', which is now 'back'"),
        ({"name": 3}, "name is 3, expected text"),
        ({"fast": 1}, "fast is 1, expected true or false"),
        ({"fast": True, "steps": 101}, "too far to be fast"),
    ],
)
def test_what_is_not_allowed_is_refused_in_a_sentence(wrong, words):
    with pytest.raises(InputError, match=f"^walk: {words}"):
        WalkOptions(**wrong)


def test_bounds_that_belong_and_do_not_belong():
    assert WalkOptions(speed=12, share=0, steps=1).share == 0
    each = options.Option(name="x", kind=int, default=1, least=0, most=10**6)
    assert each.allowed == "0 to 1000000"


def test_a_group_is_frozen_keyword_only_and_says_what_it_holds():
    with pytest.raises(TypeError):
        WalkOptions(2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        WalkOptions().speed = 3.0
    text = WalkOptions.__doc__
    assert text.startswith("How to walk.\n\nAttributes:\n    speed: metres a second (default 1.4; ")
    assert "one of there, back" in text and max(map(len, text.splitlines())) <= 96


@pytest.mark.parametrize(
    "values, words",
    [
        ({"spee": 1.0}, "'spee' is unknown; did you mean 'speed'[?]"),
        ({"qqq": 1.0}, "'qqq' is unknown, expected options among speed, share, steps"),
        ({"velocity": 1.0}, "velocity is now speed"),
        ({"steps": "3"}, "steps is '3', expected a whole number"),
        ([], r"^walk is \[\], expected an object of options"),
    ],
)
def test_json_that_is_no_such_options_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        options.read(WalkOptions, values, "walk")


def test_what_was_renamed_is_told_of_every_option_at_once():
    old = {"latent": 0, "kl": 1e-3, "units": 4}
    with pytest.raises(InputError, match="usvae: latent is now latent_size, kl is now kl_weight"):
        options.read(models.get("usvae").Config, old, "usvae")


def test_text_becomes_a_value_and_nonsense_stays_text():
    known = {each.name: each for each in options.describe(WalkOptions)}
    texts = {"speed": "1e-3", "steps": "7", "fast": "TRUE", "way": "back", "name": "7"}
    read = {name: known[name].parse(text) for name, text in texts.items()}
    assert read == {"speed": 0.001, "steps": 7, "fast": True, "way": "back", "name": "7"}
    for name, text in (("speed", "fast"), ("steps", "7.5"), ("fast", "maybe")):
        with pytest.raises(InputError, match=f"{name} is '{text}', expected"):
            known[name].check(known[name].parse(text), "walk")


def test_a_plain_frozen_dataclass_is_options_too():
    @dataclasses.dataclass(frozen=True)
    class Mine:
        size: int = 3
        names: tuple = ()
        rates: list = dataclasses.field(default_factory=list)

    size, names, rates = options.describe(Mine)
    assert (size.kind, names.kind, rates.kind) == (int, tuple, list) and size.text == ""
    assert options.read(Mine, {"size": 4, "names": [1]}, "mine") == Mine(4, [1])
    with pytest.raises(InputError, match="mine: size is 'x', expected a whole number"):
        options.check(Mine("x"), "mine")


# Properties


def values_of(each):
    """A strategy of an option's allowed values."""
    if each.choices:
        return strategies.sampled_from(each.choices)
    if each.kind is bool:
        return strategies.booleans()
    if each.kind is str:
        return strategies.text()
    least = each.least if each.least is not None else each.above
    most = each.most if each.most is not None else each.below
    largest = options.LARGEST[each.kind]
    least, most = -largest if least is None else least, largest if most is None else most
    if each.kind is int:
        return strategies.integers(least, most)
    return strategies.floats(
        least, most, exclude_min=each.above is not None, exclude_max=each.below is not None
    )


def wrong_values_of(each):
    """A strategy of values beyond an option's bounds and choices."""
    if each.choices:
        return strategies.text().filter(lambda text: text not in each.choices)
    beyond = []
    finite = {"allow_nan": False, "allow_infinity": False}
    if each.kind in (int, float):
        for low in {each.least, each.above} - {None}:
            beyond.append(
                strategies.floats(max_value=low, exclude_max=each.above is None, **finite)
            )
        for high in {each.most, each.below} - {None}:
            beyond.append(
                strategies.floats(min_value=high, exclude_min=each.below is None, **finite)
            )
    if each.kind is int:
        beyond = [one.map(round).filter(lambda n: not _within(each, n)) for one in beyond]
    return strategies.one_of(strategies.none(), strategies.lists(strategies.none()), *beyond)


def _within(each, number):
    """Whether a number is allowed, said otherwise."""
    low = -math.inf if each.least is None else each.least
    high = math.inf if each.most is None else each.most
    inside = low <= number <= high
    if each.above is not None:
        inside = inside and number > each.above
    if each.below is not None:
        inside = inside and number < each.below
    return inside


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__qualname__)
@hypothesis.settings(derandomize=True, max_examples=40, deadline=None)
@hypothesis.given(data=strategies.data())
def test_json_gives_back_what_it_got(kind, data):
    described = options.describe(kind)
    chosen = data.draw(strategies.sets(strategies.sampled_from([e.name for e in described])))
    given = {e.name: data.draw(values_of(e), e.name) for e in described if e.name in chosen}
    try:
        made = kind(**given)
    except InputError as error:  # a rule between options
        assert all(
            f"{e.name} is {given.get(e.name)!r}, expected" not in str(error) for e in described
        )
        return
    read = options.read(kind, json.loads(json.dumps(dataclasses.asdict(made))), "options")
    assert read == made and hash(read) == hash(made)


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__qualname__)
@hypothesis.settings(derandomize=True, max_examples=40, deadline=None)
@hypothesis.given(data=strategies.data())
def test_what_lies_beyond_its_bounds_is_refused(kind, data):
    each = data.draw(strategies.sampled_from(options.describe(kind)))
    wrong = data.draw(wrong_values_of(each))
    with pytest.raises(InputError, match=f": {each.name} is .*expected"):
        kind(**{each.name: wrong})


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__qualname__)
def test_every_option_has_a_sentence_and_its_default_is_allowed(kind):
    assert kind() == options.read(kind, {}, "options")
    for each in options.describe(kind):
        assert each.text and f"\n    {each.name}: " in kind.__doc__
