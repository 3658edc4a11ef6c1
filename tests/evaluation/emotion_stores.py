"""Small stores of interviews, whose videos have subjects, emotions and labelled clips."""

import numpy as np

from mgjax import skeleton
from mgjax.protocols import IMIGUE_EMOTIONS
from mgjax.store import StoreWriter

LABELS = ("rubbing", "shrugging", "waving")


def write(path, videos, split=((0, 1, 2, 3, 4, 5), (6, 7, 8, 9)), of="videos"):
    """A store of videos (subject, emotion, labels); clips of two frames are added last first."""
    layout = skeleton.get("imigue22")
    rng = np.random.default_rng(0)
    frames = sum(2 * len(labels) + 1 for _, _, labels in videos)
    with StoreWriter(
        path, layout, unit="pixel", frames=frames, source="a test", labels=LABELS
    ) as writer:
        for i, (subject, mood, labels) in enumerate(videos):
            length = 2 * len(labels) + 1
            writer.add_video(
                f"{i:04}",
                rng.uniform(1, 9, (length, 22, 2)),
                np.ones((length, 22)),
                subject=subject,
                emotion=mood,
            )
            for place in reversed(range(len(labels))):
                writer.add_clip(f"{i:04}", 2 * place, 2, labels[place])
        writer.add_split("mine", *split, of=of)
    return path


def interviews(count=10):
    """Winners wave, losers rub; everybody shrugs."""
    return [(f"s{i // 2}", IMIGUE_EMOTIONS[i % 2], [1, 2 * (1 - i % 2)] * 2) for i in range(count)]
