"""Small stores to test with."""

import numpy as np

from mgjax import skeleton
from mgjax.store import StoreWriter

LAYOUT = skeleton.get("imigue22")


def clip_of(frames, seed):
    """Keypoints and scores without a missing joint."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(1, 700, (frames, 22, 2)).astype(np.float32)
    score = rng.uniform(0.1, 1, (frames, 22)).astype(np.float32)
    return keypoints, score


def new_store(path, frames, **options):
    """A writer of a store in pixels of so many frames."""
    return StoreWriter(path, LAYOUT, **({"unit": "pixel", "source": ""} | options), frames=frames)


def write(path, **options):
    """Two videos of 30 and 12 frames, three clips, two splits."""
    with new_store(path, frames=42, **({"source": "random numbers"} | options)) as writer:
        writer.add_video(
            "a", *clip_of(30, 0), fps=25, width=1280, height=720, subject="s1", emotion="positive"
        )
        writer.add_video("b", *clip_of(12, 1), fps=29.97)
        writer.add_clip("a", 0, 30, "rubbing hands")
        writer.add_clip("b", 2, 10, "folding arms")
        writer.add_clip("a", 29, 1)
        writer.add_split("mine", train=[2, 0], test=[1])
        writer.add_split("videos", train=[1], test=[0], of="videos")
    return path
