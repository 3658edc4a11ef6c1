"""Which gesture follows which in a simulated video, and how much that says about its emotion.

With the probability `repeat` of its class a gesture comes again at once; otherwise the next one
is drawn anew, from a distribution that the video's emotion tilts. Since nothing else depends on
the emotion, the likelihood of a sequence of labels says all that can be known about it, and the
accuracy of the likelier emotion is the best possible.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from mgjax.protocols import IMIGUE_EMOTIONS

POSITIVE, NEGATIVE = EMOTIONS = IMIGUE_EMOTIONS

# iMiGUE's public training labels, 13,670 clips in 251 videos, by class: how many there are, and
# the probability that one is followed by another of its class, beyond what their number explains.
# fmt: off
IMIGUE_COUNTS = (
    10, 418, 39, 207, 80, 23, 64, 858, 87, 3, 302, 154, 97, 41, 28, 27, 322, 83, 2, 942, 170, 373, 657, 700, 11, 287,
    87, 60, 1237, 6, 2272, 4023,
)
# fmt: on
# fmt: off
IMIGUE_REPEATS = (
    0, 0.02, 0.05, 0.03, 0.01, 0, 0, 0.04, 0.05, 0, 0.06, 0.09, 0.01, 0.1, 0, 0.04, 0.03, 0, 0, 0.08, 0.02, 0.04, 0.01,
    0.06, 0, 0.16, 0, 0.23, 0.1, 0, 0.24, 0.15,
)
# fmt: on


@dataclasses.dataclass(frozen=True)
class Order:
    """How labels follow each other.

    Attributes:
        repeat: probability that a gesture comes again at once, by class, float64 `[classes]`.
        draws: emotion to the distribution that any other next gesture is drawn from, float64
            `[classes]`, sum 1.
    """

    repeat: np.ndarray
    draws: Mapping[str, np.ndarray]

    def shares(self, emotion: str) -> np.ndarray:
        """How often each class occurs in videos of an emotion, float64 `[classes]`, sum 1."""
        often = self.draws[emotion] / (1 - self.repeat)
        return often / often.sum()

    def labels(self, emotion: str, videos: int, count: int, rng) -> np.ndarray:
        """Labels of some videos of an emotion, int64 `[videos, count]`."""
        new = np.searchsorted(
            np.cumsum(self.draws[emotion])[:-1], rng.random((videos, count)), side="right"
        )
        new[:, :1] = np.searchsorted(
            np.cumsum(self.shares(emotion))[:-1], rng.random((videos, 1)), side="right"
        )
        again = rng.random((videos, count))
        for i in range(1, count):
            new[:, i] = np.where(again[:, i] < self.repeat[new[:, i - 1]], new[:, i - 1], new[:, i])
        return new

    def evidence(self, label: np.ndarray) -> np.ndarray:
        """Log of how much likelier the labels so far are after a victory than after a defeat.

        Args:
            label: int64 `[..., count]`, in time order.

        Returns:
            float64 `[..., count]`: entry i is that of the first i + 1 labels.
        """

        def log_likelihood(emotion):
            before, after = label[..., :-1], label[..., 1:]
            repeat = self.repeat[before]
            follows = (1 - repeat) * self.draws[emotion][after] + repeat * (before == after)
            first = self.shares(emotion)[label[..., :1]]
            return np.log(np.concatenate([first, follows], axis=-1)).cumsum(axis=-1)

        return log_likelihood(POSITIVE) - log_likelihood(NEGATIVE)

    def best_accuracy(self, counts: np.ndarray, rng, videos: int = 4000) -> float:
        """Share of videos whose emotion the likelihood tells, where either emotion is as probable.

        Args:
            counts: labels in each video, int `[N]`.
            rng: NumPy's generator.
            videos: how many are drawn of each emotion.
        """
        right = np.zeros(max(counts))
        for emotion, sign in ((POSITIVE, 1), (NEGATIVE, -1)):
            evidence = sign * self.evidence(self.labels(emotion, videos, max(counts), rng))
            right += ((evidence > 0) + 0.5 * (evidence == 0)).mean(axis=0) / 2
        return float(right[np.asarray(counts) - 1].mean())


def tilted(
    shares: np.ndarray, repeat: np.ndarray, tilt: np.ndarray, effect: float, positive: float = 0.5
) -> Order:
    """An order in which classes of tilt 1 are drawn `effect` times as often after a defeat, those
    of -1 a victory.

    Args:
        shares: how often each class occurs in all clips together, `[classes]`, any scale.
        repeat: `Order.repeat`.
        tilt: 1, 0 or -1 by class.
        effect: 1 for none. The ratio is exact between classes of tilt 1 and 0, or 0 and -1.
        positive: the share of clips that are in videos of positive emotion.
    """
    shares, repeat = np.asarray(shares, float) / np.sum(shares), np.asarray(repeat, float)
    base = shares * (1 - repeat)
    weight = {POSITIVE: positive, NEGATIVE: 1 - positive}
    for _ in range(100):
        draws = {
            emotion: base * effect ** (sign * np.asarray(tilt) / 2)
            for emotion, sign in ((POSITIVE, -1), (NEGATIVE, 1))
        }
        order = Order(repeat, {emotion: draw / draw.sum() for emotion, draw in draws.items()})
        # Tilting changes how often each class occurs in all: put that right.
        base = base * shares / sum(weight[emotion] * order.shares(emotion) for emotion in EMOTIONS)
    return order
