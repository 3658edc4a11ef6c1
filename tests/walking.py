"""Somebody who walks, to test what moves, turns and mirrors bodies with."""

import numpy as np

from mgjax import skeleton

# Three joints in 3D whose axes are easy to see, and the one that they hang on.
SOLID = skeleton.Layout(
    "solid",
    ("M", "R", "L", "T"),
    (("M", "R"), ("M", "L"), ("M", "T")),
    ("M",),
    ("M", "T"),
    ("R", "L"),
    ("M", "T"),
    dimensions=3,
)


def walk(layout, frames=7, seed=0):
    """Somebody who walks through the picture."""
    rng = np.random.default_rng(seed)
    keypoints = (
        rng.normal(size=(frames, len(layout), layout.dimensions))
        + rng.normal(size=(1, len(layout), 1)) * 3
    )
    return keypoints + np.arange(frames)[:, None, None] * np.linspace(1, 2, layout.dimensions)
