"""Options: a dataclass's fields, each with its default, its sentence and the values it may have.

What is said here once is what everything else follows from: the checks when an object is made,
the flags of a command line, reading JSON, and what `help()` shows of the class.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from mgjax.errors import InputError, short

# Beyond it a whole number is none on a device, nor a float a finite one.
LARGEST = {int: 2**31 - 1, float: 3.4e38}
_EXPECTED = {
    bool: "true or false",
    int: f"a whole number within ±{LARGEST[int]}",
    float: "a finite number",
    str: "text",
}

# The default of an option that has none: a dataclass of anyone's making may have such.
REQUIRED = dataclasses.MISSING
_SWITCH = {"true": True, "false": False, "1": True, "0": False}

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What is known of one option.

    Attributes:
        name: the field's name.
        kind: bool, int, float or str; another type means that its values are not checked.
        default: its default.
        text: the sentence that explains it, "" where there is none.
        least, most: bounds that belong to what is allowed; None where there is none.
        above, below: bounds that do not belong to it.
        choices: the only values allowed, empty where all are.
        formerly: what the option was called in older versions, "" where it was the same.
        values_formerly: today's values by what they were called in older versions.
    """

    name: str
    kind: type
    default: Any
    text: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple = ()
    formerly: str = ""
    values_formerly: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def allowed(self) -> str:
        """Its bounds or choices in words, "" where it has none."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.least is not None and self.most is not None:
            return f"{_number(self.least)} to {_number(self.most)}"
        bounds = {
            "at least": self.least,
            "more than": self.above,
            "at most": self.most,
            "less than": self.below,
        }
        return " and ".join(f"{word} {_number(n)}" for word, n in bounds.items() if n is not None)

    def parse(self, text: str) -> object:
        """The value that a text stands for; the text itself where it stands for none."""
        try:
            if self.kind is bool:
                return _SWITCH[text.lower()]
            return self.kind(text) if self.kind in (int, float) else text
        except (KeyError, ValueError):
            return text

    def check(self, value: object, group: str) -> None:
        """Raise InputError, with the group's name, where a value is not allowed."""
        # Of someone's own model: a tuple or None, of which nothing is known here.
        if self.kind not in _EXPECTED:
            return
        expected = self.allowed if self.choices else _EXPECTED[self.kind]
        if self._of_kind(value):
            if self._within(value):
                return
            expected = self.allowed
        wrong = f"{group}: {self.name} is {short(value)}"
        if isinstance(value, str) and value in self.values_formerly:
            raise InputError(f"{wrong}, which is now {self.values_formerly[value]!r}")
        hint = did_you_mean(value, self.choices) if self.choices else ""
        raise InputError(f"{wrong}, expected {expected}{hint}")

    def _of_kind(self, value: Any) -> bool:
        right = isinstance(value, (int, float) if self.kind is float else self.kind)
        # To Python, True is an int and would be a batch of one clip.
        if self.kind is not bool and isinstance(value, bool):
            return False
        if right and self.kind in LARGEST:
            return abs(value) <= LARGEST[self.kind]  # never true of NaN
        return right

    def _within(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        low = self.least is None or value >= self.least
        high = self.most is None or value <= self.most
        beyond_low = self.above is None or value > self.above
        beyond_high = self.below is None or value < self.below
        return low and high and beyond_low and beyond_high


# What a field's metadata may say; a user's own dataclass may hold other things there.
_SAID = {field.name for field in dataclasses.fields(Option)} - {"name", "kind", "default"}


def option(
    default: T,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    formerly: str = "",
    values_formerly: Mapping[str, str] | None = None,
) -> T:
    """A field of a dataclass of options.

    Args:
        default: its default, whose type says what values it takes.
        text: the sentence that explains it, in `help()` and on the command line.
        least, most: the smallest and the largest value that is allowed.
        above, below: the value that it must be more than, or less than.
        formerly: what the option was called in older versions; who still calls it that is told.
        values_formerly: today's values by what they were called in older versions.

    Choices are not given here: they follow from a `typing.Literal` as the field's type.

    >>> @group("walk")
    ... class WalkOptions:
    ...     '''How to walk.'''
    ...
    ...     speed: float = option(1.4, "metres a second", above=0, most=12)
    ...     way: Literal["there", "back"] = option("there", "which way to go")
    >>> WalkOptions(speed=2.0)
    WalkOptions(speed=2.0, way='there')
    >>> WalkOptions(speed=0.0)
    Traceback (most recent call last):
        ...
    mgjax.errors.InputError: walk: speed is 0.0, expected more than 0 and at most 12
    """
    said: dict[str, Any] = {"text": text, "formerly": formerly}
    said |= {"least": least, "most": most, "above": above, "below": below}
    said["values_formerly"] = values_formerly or {}
    return dataclasses.field(default=default, metadata=said)


# `option` is no field specifier to a type checker, which would look for its default by name.
@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
def group(name: str) -> Callable[[type[T]], type[T]]:
    """Make a class of options a frozen, keyword-only dataclass that checks itself.

    An object's options are checked when it is made, one by one, and then by the class's own
    `validate()`, where it has one: the rules between options belong there. The class's docstring
    gets a list of the options.

    Args:
        name: names the options in error messages, as in "training".
    """

    def decorate(kind: type[T]) -> type[T]:
        # Looked up once: a subclass would be another group, with its own checks.
        validate = getattr(kind, "validate", None)

        def __post_init__(self) -> None:
            check(self, name)
            if validate is not None:
                validate(self)

        kind.__post_init__ = __post_init__  # type: ignore[attr-defined]  # is made here
        made: Any = dataclasses.dataclass(frozen=True, kw_only=True)(kind)
        made.__doc__ = f"{(made.__doc__ or name).rstrip()}\n\n{_listed(describe(made))}"
        return made

    return decorate


@functools.cache
def describe(kind: type) -> tuple[Option, ...]:
    """What is known of every option of a dataclass, of this module's or of anyone's making.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Mine:
    ...     size: int = 3
    >>> describe(Mine)[0].name, describe(Mine)[0].kind
    ('size', <class 'int'>)
    """
    try:
        types = typing.get_type_hints(kind)
    except NameError:  # a type that only a type checker knows; its choices are then unknown
        types = {}
    described = []
    for field in dataclasses.fields(kind):
        default = field.default
        # A list or a dict as default, in a dataclass of anyone's making.
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        annotation = types.get(field.name)
        choices = typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()
        said = {name: value for name, value in field.metadata.items() if name in _SAID}
        described.append(
            Option(name=field.name, kind=type(default), default=default, choices=choices, **said)
        )
    return tuple(described)


def check(options: Any, group: str) -> None:
    """Check that every option has the type of its default and an allowed value.

    Args:
        options: a dataclass of options, of this module's or of anyone's making.
        group: names them in error messages, as in "training".

    Raises:
        InputError: one does not; a number that is not finite or has no 32 bits is none either.
    """
    kind: Any = type(options)
    for each in describe(kind):
        each.check(getattr(options, each.name), group)


def read(kind: type[T], values: Any, group: str) -> T:
    """A dataclass of options out of what a JSON file holds; those left out have their defaults.

    Raises:
        InputError: the values are not options of this kind.
    """
    if not isinstance(values, dict):
        raise InputError(f"{group} is {short(values)}, expected an object of options")
    known = named(kind, values, group)
    given = dict(values)
    for name, value in values.items():
        known[name].check(value, group)
        if known[name].kind is float:  # JSON may have written 1.0 as 1
            given[name] = float(value)
    return kind(**given)


def named(kind: type, names: Iterable[str], group: str) -> dict[str, Option]:
    """The options of a dataclass by name, which all the given names must be among.

    Raises:
        InputError: one is not; the sentence says what it is called now, or what may be meant.
    """
    known = {each.name: each for each in describe(kind)}
    unknown = [name for name in names if name not in known]
    formerly = {each.formerly: each.name for each in known.values() if each.formerly}
    # All at once: a run of an older version has several, and is put right in one go.
    renamed = [f"{name} is now {formerly[name]}" for name in unknown if name in formerly]
    if renamed:
        raise InputError(f"{group}: {', '.join(renamed)}")
    if unknown:
        expected = f", expected options among {', '.join(known)}" if known else ": it has none"
        hint = did_you_mean(unknown[0], known) or expected
        raise InputError(f"{group}: {short(unknown[0])} is unknown{hint}")
    return known


def did_you_mean(wrong: object, known: Iterable[str]) -> str:
    """What to add to a sentence about an unknown name: the nearest known one, "" if none is near.

    >>> did_you_mean("learning-rate", ["epochs", "learning_rate"])
    "; did you mean 'learning_rate'?"
    """
    if not isinstance(wrong, str):
        return ""
    # Comparing takes time that grows with the product of the lengths; no name is that long.
    near = difflib.get_close_matches(wrong[:100], [str(each) for each in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _number(bound: float) -> str:
    """A bound as people write it: 1000000 and 0.5, not 1e+06."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _listed(described: tuple[Option, ...]) -> str:
    """The options as the list of attributes of a docstring."""
    lines = ["Attributes:"]
    for each in described:
        allowed = f"; {each.allowed}" if each.allowed else ""
        said = f"{each.name}: {each.text} (default {each.default!r}{allowed})"
        lines += textwrap.wrap(said, 96, initial_indent=" " * 4, subsequent_indent=" " * 8)
    return "\n".join(lines)
