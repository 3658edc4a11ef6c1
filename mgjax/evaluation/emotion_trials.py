"""Which videos' emotion is judged, and who trains for whom."""

from __future__ import annotations

import dataclasses

import numpy as np

from mgjax.errors import InputError
from mgjax.evaluation.clip_vectors import clips_in_time
from mgjax.evaluation.folds import grouped_folds
from mgjax.protocols import IMIGUE_EMOTIONS
from mgjax.store import ALL, Store


@dataclasses.dataclass(frozen=True)
class EmotionTrials:
    """Videos whose emotion is known, and how they are judged.

    Attributes:
        rows: of the store's videos, int `[V]`.
        emotion: index into `IMIGUE_EMOTIONS`, int `[V]`.
        subject: str `[V]`, "" where it is unknown.
        clips: the store's clips of every video in the order of time, one int array a video.
        trials: pairs of places among these videos that train and that test, int arrays.
        left_out: ids of videos that have no emotion, and so take no part in a
            cross-validation.
    """

    rows: np.ndarray
    emotion: np.ndarray
    subject: np.ndarray
    clips: list[np.ndarray]
    trials: list[tuple[np.ndarray, np.ndarray]]
    left_out: list[str]


def emotion_trials(store: Store, split: str, folds: int = 0) -> EmotionTrials:
    """The videos of a split, those that train against those that test, or cross-validated.

    Args:
        store: an opened store.
        split: its split of videos; "all", with folds, takes every video of the store.
        folds: of a cross-validation of all videos of the split, no subject being in two; 0 takes
            the split's own sides.

    Raises:
        InputError: the split is of clips, has no training or no test videos, or a video in it
            has no emotion (without folds) or an unknown one.
    """
    train, test = _sides(store, split, folds)
    rows = np.concatenate([train, test])
    known = _known_emotions(store, split, rows, folds)
    left_out = store.videos.id[rows[~known]].tolist()
    rows = rows[known]
    names = store.videos.emotion[rows]
    emotion = np.array([IMIGUE_EMOTIONS.index(name) for name in names], int)
    subject = store.videos.subject[rows]
    if folds:
        fold = grouped_folds(subject, emotion, folds)
        trials = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(folds)]
    else:
        # Without folds none was left out, so the places are still those of the sides.
        trials = [(np.arange(len(train)), np.arange(len(train), len(rows)))]
    in_time = clips_in_time(store)
    clips = [in_time[row] for row in rows]
    return EmotionTrials(rows, emotion, subject, clips, trials, left_out)


def _sides(store: Store, split: str, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a split's videos that train and that test."""
    chosen = store.split(split)
    # Every store has that split, of clips; here it means all videos.
    if split == ALL:
        train, test = np.arange(len(store.videos)), np.empty(0, np.int64)
    elif chosen.of == "videos":
        train, test = chosen.train, chosen.test
    else:
        raise InputError(
            f"{store.path}: split {split!r} is of clips, but emotions need a split of videos"
        )
    if not folds and not (len(train) and len(test)):
        raise InputError(
            f"{store.path}: split {split!r} has no {'test' if len(train) else 'training'} videos; "
            "with folds all its videos are cross-validated"
        )
    return train, test


def _known_emotions(store: Store, split: str, rows: np.ndarray, folds: int) -> np.ndarray:
    """Whether each of some videos has an emotion, bool `[N]`; only with folds may one have
    none.
    """
    emotions = store.videos.emotion[rows]
    known = np.isin(emotions, IMIGUE_EMOTIONS)
    for row, emotion in zip(rows[~known], emotions[~known]):
        if emotion or not folds:
            video, expected = store.videos.id[row], " or ".join(IMIGUE_EMOTIONS)
            raise InputError(
                f"{store.path}: video {video!r} of split {split!r} has the emotion {emotion!r}, "
                f"expected {expected}"
            )
    return known
