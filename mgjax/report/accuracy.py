"""An accuracy that knows of how many, and how far it can be trusted. Imports no JAX."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from mgjax.errors import InputError

# The normal distribution's 97.5 % quantile: what lies within ± of it has 95 %.
Z_95 = 1.959964


def wilson_interval(correct: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """95 % interval of an accuracy by Wilson's score.

    Unlike the normal approximation it stays within [0, 1] and has a width at 0 % and 100 % too.

    Args:
        correct: how many of n are right; a mean over seeds need not be whole.
        n: how many there are; nothing is known of none, and its interval is (0, 1).
        z: quantile of the normal distribution.

    Returns:
        its ends, as shares in [0, 1].
    """
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    shrink = 1 + z * z / n
    # The solutions p of |share - p| = z √(p (1 - p) / n).
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding may lead beyond by a little.
    return max(0.0, centre - half), min(1.0, centre + half)


def percent(share: float | None, places: int = 1) -> str:
    """A share in per cent, without the sign: 0.86 is "86.0"; None, which is unknown, is "–".

    >>> percent(0.85991), percent(0.3243, 2), percent(None)
    ('86.0', '32.43', '–')
    """
    return "–" if share is None else f"{100 * share:.{places}f}"


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """So many right of n, with its 95 % interval.

        >>> accuracy = Accuracy(399, 464)
        >>> print(accuracy)
        86.0 % (82.5 – 88.9), n = 464
        >>> accuracy.cell  # of a table whose heading says per cent
        '86.0 (82.5 – 88.9)'
        >>> low, high = accuracy.interval
        >>> round(accuracy.share, 4), round(low, 4), round(high, 4)
        (0.8599, 0.8254, 0.8885)

    Attributes:
        correct: how many are right, 0 to n; for the mean of several seeds on the same n, the mean.
        n: how many were judged.

    Raises:
        InputError: n is negative, or correct outside of 0 to n.
    """

    correct: float
    n: int
    # A share that was given as one: (share · n) / n is not always that share to the last bit, and
    # 83.75 % would print as 83.7 or 83.8 depending on it.
    _share: float | None = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        # never true of NaN
        if not 0 <= self.correct <= self.n:
            raise InputError(
                f"an accuracy of {self.correct:g} in {self.n}, expected 0 to n of n, n being at "
                "least 0"
            )

    @classmethod
    def from_share(cls, share: float, n: int) -> Accuracy:
        """An accuracy that is known as a share in [0, 1]; its `share` is that one to the bit."""
        return cls(share * n, n, share)

    @classmethod
    def mean(cls, accuracies: Sequence[Accuracy]) -> Accuracy:
        """The mean of some accuracies on the same n clips, with the interval of one that had it.

        Seeds are judged on the same clips, so more of them do not make the interval narrower.

        >>> print(Accuracy.mean([Accuracy(40, 100), Accuracy(60, 100)]))
        50.0 % (40.4 – 59.6), n = 100

        Raises:
            InputError: there are none, or they are of different n.
        """
        counts = sorted({accuracy.n for accuracy in accuracies})
        if len(counts) != 1:
            raise InputError(f"a mean of accuracies of n = {counts or 'none'}, expected one n")
        share = statistics.fmean(accuracy.share for accuracy in accuracies)
        return cls.from_share(share, counts[0])

    @property
    def share(self) -> float:
        """Its share in [0, 1]; NaN for n = 0."""
        if not self.n:
            return math.nan
        return self.correct / self.n if self._share is None else self._share

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of its 95 % interval (Wilson's score), as shares in [0, 1]."""
        return wilson_interval(self.correct, self.n)

    @property
    def percent(self) -> str:
        """Its figure alone, in per cent: "86.0"; "–" for n = 0."""
        return percent(self.share if self.n else None)

    @property
    def range(self) -> str:
        """Its interval alone, in per cent: "82.5 – 88.9"."""
        low, high = self.interval
        return f"{percent(low)} – {percent(high)}"

    @property
    def cell(self) -> str:
        """Figure and interval in per cent, for a table that says so: "86.0 (82.5 – 88.9)"."""
        return f"{self.percent} ({self.range})" if self.n else "–"

    def __str__(self) -> str:
        return f"{self.percent} % ({self.range}), n = {self.n}"

    def to_json(self) -> dict[str, float]:
        """Plain values: accuracy, n, low and high, all but n as shares in [0, 1]."""
        low, high = self.interval
        return {"accuracy": self.share, "n": self.n, "low": low, "high": high}

    @classmethod
    def from_json(cls, values: Mapping) -> Accuracy:
        """An accuracy out of what `to_json` gave; the interval follows from the other two.

        Raises:
            InputError: they are not such values.
        """
        try:
            share, n = values["accuracy"], values["n"]
            if type(n) is not int or type(share) not in (int, float):
                raise TypeError
        except (KeyError, TypeError):
            raise InputError(f"{values!r} is no accuracy, expected accuracy and n") from None
        return cls.from_share(share, n)
