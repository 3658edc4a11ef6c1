"""People to draw, and what is to be seen in a picture."""

import numpy as np
import pytest

from mgjax import skeleton
from mgjax.report import skeletons

Image = pytest.importorskip("PIL.Image", reason="pictures need the extra `plots`")

UPPER = skeleton.get("imigue22")


def person(frames, layout=UPPER, seed=0):
    """Joints in a square of 400 by 400."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(100, 500, (frames, len(layout), layout.dimensions))
    return keypoints, np.ones((frames, len(layout)))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def colour_of(part):
    colour = skeletons.PART_COLOURS[part]
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def places(picture, part):
    """Rows and columns of the picture that show a part's colour."""
    return np.nonzero((abs(picture - colour_of(part)) < 6).all(-1))
