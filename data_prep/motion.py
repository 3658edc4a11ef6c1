"""Smooth, aimless movement, and rotations: what simulated bodies and cameras move by.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

FPS = 25  # frames a second of everything that is simulated


def minimum_jerk(s: np.ndarray) -> np.ndarray:
    """The minimum-jerk course from 0 to 1, 10 s³ - 15 s⁴ + 6 s⁵, of s from 0 to 1."""
    s = np.clip(s, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def drift(rng: np.random.Generator, frames: int, seconds: float, *shape: int) -> np.ndarray:
    """Aimless movement of unit size: a new place about every so many seconds.

    Args:
        rng: NumPy's generator.
        frames: how many.
        seconds: from one place to the next.
        shape: of what moves, each number on its own.

    Returns:
        float64 `[frames, *shape]`.
    """
    # Between two places the body moves as a hand does between two rests: it starts and
    # stops without a jerk.
    at = np.arange(frames) / (seconds * FPS)
    places = rng.normal(size=(int(at[-1]) + 2, *shape))
    before = at.astype(int)
    share = minimum_jerk(at - before)
    share = share.reshape(-1, *[1] * len(shape))
    return places[before] * (1 - share) + places[before + 1] * share


def rotations(degrees: ArrayLike) -> np.ndarray:
    """Rotation matrices of (pitch forward, yaw to the left, roll to the right).

    Args:
        degrees: `[..., 3]`.

    Returns:
        float64 `[..., 3, 3]`: roll first, then pitch, then yaw.
    """
    radians = np.radians(degrees)
    cos_pitch, cos_yaw, cos_roll = np.moveaxis(np.cos(radians), -1, 0)
    sin_pitch, sin_yaw, sin_roll = np.moveaxis(np.sin(radians), -1, 0)
    zero, one = np.zeros_like(cos_pitch), np.ones_like(cos_pitch)

    def matrix(*rows: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    # Around x (to the left), y (up) and z (to the front).
    pitch = matrix((one, zero, zero), (zero, cos_pitch, -sin_pitch), (zero, sin_pitch, cos_pitch))
    yaw = matrix((cos_yaw, zero, sin_yaw), (zero, one, zero), (-sin_yaw, zero, cos_yaw))
    roll = matrix((cos_roll, -sin_roll, zero), (sin_roll, cos_roll, zero), (zero, zero, one))
    return yaw @ pitch @ roll


def turned(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` turned by rotation matrices `[..., 3, 3]`."""
    return np.einsum("...ij,...j->...i", rotation, vector)


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` of the same direction and of length 1."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    # A vector of no length has no direction and stays what it is.
    return vector / np.maximum(length, 1e-9)


def across(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Directions of vectors `[..., 3]` at a right angle to others, which have length 1."""
    along = (vector * direction).sum(-1, keepdims=True)
    return unit(vector - direction * along)
