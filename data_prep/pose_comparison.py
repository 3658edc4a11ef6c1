"""How far apart two poses are, how like, and which of many go together.

These are the rules 2, 3 and 5 of `data_prep/tracking.py`. One of the two is a known pose
(where its joints are expected), the other a detection of OpenPose. Arrays broadcast over
their leading axes, so that one call compares many with many.

This module needs NumPy, and SciPy for several with several, and never imports JAX.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mgjax import skeleton

COMMON = 3  # joints that two poses share at least, to be compared
REACH = 0.1  # sizes: a joint so far away counts half
GROWN = 2.0  # spreads are alike within this factor


def extents(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width and height of the box around each person's seen joints, `[people]` each.

    Args:
        pose: x, y and score, float `[people, V, 3]`.
    """
    # One row a joint: the smallest of many rows is found many times faster than the
    # smallest of many short ones.
    x, y, score = np.ascontiguousarray(pose.T)
    seen = score > 0
    low = np.where(seen, (x, y), np.inf).min(axis=1)
    high = np.where(seen, (x, y), -np.inf).max(axis=1)
    width, height = high - low
    return width, height


class PoseComparison:
    """Compares poses of one model's joints.

    Args:
        model: the layout of the poses, which says pairs of sides and parts of the body.
    """

    def __init__(self, model: skeleton.Layout):
        # Where each joint's counterpart on the other side is.
        self._mirror = model.mirror_permutation
        # What each joint counts: the feet's six points are no more than an arm's three.
        self._weight = np.ones(len(model))
        for joints in model.parts.values():
            self._weight[model.index(*joints)] = 1 / len(joints)

    def compare(
        self,
        place: np.ndarray,
        known: np.ndarray,
        known_size: np.ndarray | float,
        pose: np.ndarray,
        size: np.ndarray,
        swap: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far apart known poses and detections are, by rule 2, and their likeness, by rule 5.

        Args:
            place, known, known_size: where the joints of the known are (float
                `[..., V, 2]`; more columns are not looked at), which they are (bool
                `[..., V]`) and their sizes (`[...]`).
            pose, size: of the detections, float `[..., V, 3]` and `[...]`; both
                broadcast.
            swap: let left and right of a pair count as one joint in two places.

        Returns:
            Pixels, inf where they share fewer than COMMON joints, and the likeness;
            `[...]` each.
        """
        score = pose[..., 2]
        distance = _distances(place, known & (score > 0), pose)
        if swap:
            shared = known[..., self._mirror] & (score > 0)
            swapped = _distances(place[..., self._mirror, :], shared, pose)
            distance = np.minimum(distance, swapped)
        count = (distance < np.inf).sum(axis=-1)
        apart = np.where(count >= COMMON, lower_median(distance, count), np.inf)
        # Of a joint that is not shared inf remains, so that it adds nothing.
        distance /= (REACH * np.maximum(known_size, size))[..., None]
        return apart, (score / (1 + distance)) @ self._weight


def _distances(place: np.ndarray, both: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """How far each joint that both have is from its place, inf for the others, `[..., V]`."""
    x = place[..., 0] - pose[..., 0]
    y = place[..., 1] - pose[..., 1]
    return np.where(both, np.sqrt(x * x + y * y), np.inf)


def lower_median(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The lower median of the `count` finite values along the last axis; the others are inf."""
    middle = np.maximum(count - 1, 0)[..., None] // 2
    rising = np.sort(values, axis=-1)
    return np.take_along_axis(rising, middle, axis=-1)[..., 0]


def spread_alike(
    place: np.ndarray, known: np.ndarray, pose: np.ndarray, floor: np.ndarray
) -> np.ndarray:
    """Whether poses and detections spread alike over the joints that both have, by rule 3.

    Args:
        place, known, pose: as `PoseComparison.compare` takes them.
        floor: pixels by which every spread is widened, `[...]`.
    """
    both = (known & (pose[..., 2] > 0)).astype(np.float64)
    count = both.sum(axis=-1)
    one = _spread(place, both, np.maximum(count, 1)) + floor
    other = _spread(pose[..., :2], both, np.maximum(count, 1)) + floor
    # Too few joints say nothing about a spread; rule 2 refuses them anyway.
    alike = (one <= GROWN * other) & (other <= GROWN * one)
    return (count < COMMON) | alike


def _spread(points: np.ndarray, weight: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Root mean square distance of some of the points `[..., V, 2]` from their centre."""
    centre = np.einsum("...vc,...v->...c", points, weight) / count[..., None]
    apart = points - centre[..., None, :]
    return np.sqrt(np.einsum("...vc,...vc,...v->...", apart, apart, weight) / count)


def likest_pairs(likeness: np.ndarray) -> Iterator[tuple[int, int]]:
    """(row, column) of the pairs that are the likest together, each once; likeness 0 is no pair.

    >>> list(likest_pairs(np.array([[3.0, 2.0], [2.5, 0.0]])))  # 2 + 2.5 is more than 3 + 0
    [(0, 1), (1, 0)]
    """
    if 1 in likeness.shape:
        rows, columns = np.unravel_index([likeness.argmax()], likeness.shape)
    else:
        # Here, as importing it takes as long as reading thousands of frames.
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(likeness, maximize=True)
    for row, column in zip(rows.tolist(), columns.tolist()):
        if likeness[row, column] > 0:
            yield row, column
