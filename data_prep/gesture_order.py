"""Which gesture follows which in a simulated video, and what that says of its emotion.

With the probability `repeat` of its class a gesture comes again at once; otherwise the
next one is drawn anew, from a distribution that the video's emotion tilts. Since nothing
else depends on the emotion, the likelihood of a sequence of labels says all that can be
known about it, and the accuracy of the likelier emotion is the best possible.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mgjax.protocols import IMIGUE_EMOTIONS

POSITIVE, NEGATIVE = EMOTIONS = IMIGUE_EMOTIONS
_ROUNDS = 100  # of `tilted`; after 20 nothing changes any more, and all take a millisecond

# iMiGUE's public training labels, 13,670 clips in 251 videos, by class: how many there
# are, and the probability that one is followed by another of its class, beyond what their
# number explains.
# fmt: off
IMIGUE_COUNTS = (
    10, 418, 39, 207, 80, 23, 64, 858, 87, 3, 302, 154, 97, 41, 28, 27,
    322, 83, 2, 942, 170, 373, 657, 700, 11, 287, 87, 60, 1237, 6, 2272, 4023,
)
IMIGUE_REPEATS = (
    0, 0.02, 0.05, 0.03, 0.01, 0, 0, 0.04, 0.05, 0, 0.06, 0.09, 0.01, 0.1, 0, 0.04,
    0.03, 0, 0, 0.08, 0.02, 0.04, 0.01, 0.06, 0, 0.16, 0, 0.23, 0.1, 0, 0.24, 0.15,
)
# fmt: on


@dataclasses.dataclass(frozen=True)
class Order:
    """How labels follow each other.

    Attributes:
        repeat: probability that a gesture comes again at once, by class, float64
            `[classes]`.
        draws: emotion to the distribution that any other next gesture is drawn from,
            float64 `[classes]`, sum 1.
    """

    repeat: np.ndarray
    draws: Mapping[str, np.ndarray]

    def shares(self, emotion: str) -> np.ndarray:
        """How often each class occurs in videos of an emotion, float64 `[classes]`, sum 1."""
        # A gesture that comes again with probability p comes 1 / (1 - p) times on
        # average.
        often = self.draws[emotion] / (1 - self.repeat)
        return often / often.sum()

    def labels(self, emotion: str, videos: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Labels of some videos of an emotion, int64 `[videos, count]`."""

        def draw(distribution: np.ndarray, columns: int) -> np.ndarray:
            # The last edge is left out: rounding may leave it below 1, and a draw above
            # it.
            edges = np.cumsum(distribution)[:-1]
            return np.searchsorted(edges, rng.random((videos, columns)), side="right")

        label = draw(self.draws[emotion], count)
        # Nothing comes before the first, so it is drawn from what occurs on the whole.
        label[:, :1] = draw(self.shares(emotion), 1)
        again = rng.random((videos, count))
        for i in range(1, count):
            before = label[:, i - 1]
            repeats = again[:, i] < self.repeat[before]
            label[:, i] = np.where(repeats, before, label[:, i])
        return label

    def evidence(self, label: np.ndarray) -> np.ndarray:
        """Log of how much likelier labels are after a victory than after a defeat.

        Args:
            label: int64 `[..., count]`, in time order.

        Returns:
            float64 `[..., count]`: entry i is of the first i + 1 labels.
        """

        def log_likelihood(emotion: str) -> np.ndarray:
            before, after = label[..., :-1], label[..., 1:]
            repeat = self.repeat[before]
            drawn = self.draws[emotion][after]
            follows = (1 - repeat) * drawn + repeat * (before == after)
            first = self.shares(emotion)[label[..., :1]]
            probability = np.concatenate([first, follows], axis=-1)
            return np.log(probability).cumsum(axis=-1)

        return log_likelihood(POSITIVE) - log_likelihood(NEGATIVE)

    def best_accuracy(
        self, counts: Sequence[int], rng: np.random.Generator, videos: int = 4000
    ) -> float:
        """Share of videos whose emotion the likelihood tells, if either is as probable.

        Args:
            counts: labels in each video, int `[N]`.
            rng: NumPy's generator.
            videos: how many are drawn of each emotion.
        """
        right = np.zeros(max(counts))
        for emotion, sign in ((POSITIVE, 1), (NEGATIVE, -1)):
            labels = self.labels(emotion, videos, max(counts), rng)
            evidence = sign * self.evidence(labels)
            # Where both are as likely, one of two guesses is right.
            told = (evidence > 0) + 0.5 * (evidence == 0)
            right += told.mean(axis=0) / 2
        # right[i] is of videos of i + 1 labels.
        return float(right[np.asarray(counts) - 1].mean())


def tilted(
    shares: ArrayLike, repeat: ArrayLike, tilt: ArrayLike, effect: float, positive: float = 0.5
) -> Order:
    """An order that depends on the emotion, with each gesture as often as given.

    Classes of tilt 1 are drawn `effect` times as often after a defeat, those of -1 after
    a victory.

    Args:
        shares: how often each class occurs in all clips together, `[classes]`, any scale.
        repeat: `Order.repeat`.
        tilt: 1, 0 or -1 by class.
        effect: 1 for none. The ratio is exact between classes of tilt 1 and 0, or 0 and
            -1.
        positive: the share of clips that are in videos of positive emotion.
    """
    target = np.asarray(shares, float) / np.sum(shares)
    again = np.asarray(repeat, float)
    half = np.asarray(tilt) / 2
    base = target * (1 - again)
    weight = {POSITIVE: positive, NEGATIVE: 1 - positive}
    for _ in range(_ROUNDS):
        draws = {POSITIVE: base * effect**-half, NEGATIVE: base * effect**half}
        shares_of_one = {emotion: draw / draw.sum() for emotion, draw in draws.items()}
        order = Order(again, shares_of_one)
        # Tilting changes how often each class occurs in all: put that right.
        occurs = sum(weight[emotion] * order.shares(emotion) for emotion in EMOTIONS)
        base = base * target / occurs
    return order
