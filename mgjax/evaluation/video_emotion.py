"""The emotion of videos from the vectors of their clips: the LSTM, beside two ways that know
nothing of order.

A clip's vector is its class probabilities, what an encoder made of it, its true label, or a
row of a file made elsewhere (`clip_vectors`). Judged are, on the same videos:

- LSTM: `models.emotion_lstm`, once for every seed, and the mean probability of all seeds
  ("LSTM, together").
- bag of gestures: logistic regression on the mean vector of a video's clips. How strongly it
  is held small is chosen by cross-validation among the training videos.
- majority: the emotion that most training videos have.

Nothing is chosen by a test label: the LSTM's settings are fixed beforehand, and it is judged
after its last epoch. Vectors are centred and scaled by one number, both from the training
videos. One number for all of a vector's entries, because an entry that seldom moves (a rare
gesture) would otherwise speak as loudly as a common one, and with a hundred videos that is
noise.

Emotions are numbered as in `protocols.IMIGUE_EMOTIONS`, and every probability is that of a
positive one. A video without clips has the probability that the training videos' emotions
give it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mgjax import progress
from mgjax.errors import InputError
from mgjax.evaluation.emotion_training import Room, lstm_probabilities, train_options
from mgjax.evaluation.emotion_trials import EmotionTrials, emotion_trials
from mgjax.evaluation.logistic import logistic_probabilities
from mgjax.evaluation.metrics import auc, confusion
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.options import group, option
from mgjax.protocols import IMIGUE_EMOTIONS
from mgjax.report.accuracy import Accuracy, percent
from mgjax.report.tables import Table
from mgjax.store import Store

# Rows of clips to their vectors `[N, D]` and what these are, as in `clip_vectors`.
VectorsOf = Callable[[np.ndarray], tuple[np.ndarray, dict]]


@group("emotion")
class EmotionOptions:
    """How the emotion of videos is learnt and judged, the LSTM's own options apart."""

    seeds: int = option(5, "how many LSTMs to train, with seeds from 0", least=1, most=1000)
    folds: int = option(
        0,
        "judge all videos of the split by cross-validation of so many folds, no subject being in "
        "two; 0 trains on the split's training videos and judges its test videos",
        least=0,
        most=10**6,
    )
    epochs: int = option(150, "optimiser steps, each of all training videos", least=1, most=10**6)
    learning_rate: float = option(
        1e-2,
        "AdamW's step size at its highest; it rises for 20 epochs and falls as a cosine to zero",
        above=0,
        most=1000,
    )
    weight_decay: float = option(0.3, "decoupled weight decay (AdamW)", least=0, most=10**6)

    def validate(self) -> None:
        """Raise InputError where a single fold is asked for."""
        if self.folds == 1:
            raise InputError("emotion: folds is 1, expected 0 or at least 2")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Probabilities of a positive emotion, NaN for videos that do not test.

    Attributes:
        lstm: float64 `[seeds, V]`.
        bag: by the bag of gestures, float64 `[V]`.
        majority: the share of positive ones among the training videos, float64 `[V]`.
    """

    lstm: np.ndarray
    bag: np.ndarray
    majority: np.ndarray

    @classmethod
    def unknown(cls, seeds: int, videos: int) -> Predictions:
        """Nothing predicted yet."""
        shapes = (seeds, videos), (videos,), (videos,)
        return cls(*(np.full(shape, np.nan) for shape in shapes))

    @property
    def together(self) -> np.ndarray:
        """The mean of the LSTMs of all seeds, `[V]`."""
        return self.lstm.mean(0)

    def of(self, videos: np.ndarray) -> Predictions:
        """Those of some videos only."""
        return Predictions(self.lstm[:, videos], self.bag[videos], self.majority[videos])


def centred(vectors: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Vectors `[N, D]` less the mean of the training vectors, in units of their root mean
    square length.
    """
    mean = training.mean(0)
    scale = np.sqrt(((training - mean) ** 2).sum(1).mean())
    # Where all training vectors are the same there is no unit.
    return ((vectors - mean) / (scale or 1)).astype(np.float32)


def bag_of_gestures(
    train: np.ndarray, truth: np.ndarray, subject: Sequence[str], test: np.ndarray
) -> np.ndarray:
    """Logistic regression on the mean vector of a video's clips.

    Args:
        train, test: mean vectors, `[N, D]` and `[M, D]`.
        truth: whether a training video's emotion is positive, bool `[N]`.
        subject: the training videos' subjects; none is in two folds of the cross-validation
            that chooses the regression's strength.

    Returns:
        probability of a positive emotion, `[M]`.
    """
    # Once more, for the mean vectors of videos are shorter than the vectors of clips.
    learnt, judged = centred(train, train), centred(test, train)
    return logistic_probabilities(learnt, truth, subject, judged)


def predict(
    videos: EmotionTrials,
    sequences: Sequence[np.ndarray],
    config: EmotionLSTM.Config,
    options: EmotionOptions,
) -> Predictions:
    """Predict the emotion of every video that tests.

    Args:
        videos: who trains and tests.
        sequences: every video's vectors in the order of time, `[clips, D]` each.
        config: the LSTM's options.
        options: how many LSTMs, and how they are trained.

    Raises:
        InputError: a trial's training videos that have clips are not of both emotions, or an
            LSTM gives values that are not finite.
    """
    count = np.array([len(vectors) for vectors in sequences])
    positive, there = videos.emotion == 0, count > 0
    # What trials learn from and can judge: videos that have clips.
    trials = [(train[there[train]], test[there[test]]) for train, test in videos.trials]
    # Trials differ in how many videos they have: padded alike, they are compiled once.
    most_train, most_test = (max(map(len, side)) for side in zip(*trials))
    room = Room(most_train, most_test, int(count.max()))
    found = Predictions.unknown(options.seeds, len(count))
    with progress.counter(len(trials) * options.seeds, "training emotion LSTMs") as advance:
        for (whole, tested), (train, test) in zip(videos.trials, trials):
            if len(set(positive[train])) < 2:
                raise InputError("the training videos that have clips are not of both emotions")
            # What a video without clips keeps.
            for values in (found.lstm, found.bag, found.majority):
                values[..., tested] = positive[whole].mean()
            if not len(test):
                continue
            # Clips of test videos move neither the mean nor the scale.
            known = np.concatenate([sequences[video] for video in train])
            learnt = [centred(sequences[video], known) for video in train]
            judged = [centred(sequences[video], known) for video in test]
            truth, subject = positive[train], videos.subject[train]
            found.bag[test] = bag_of_gestures(_means(learnt), truth, subject, _means(judged))
            for seed in range(options.seeds):
                probability = _by_lstm(learnt, truth, judged, seed, config, options, room)
                found.lstm[seed, test] = probability
                advance()
    return found


def _means(videos: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([vectors.mean(0) for vectors in videos])


def _by_lstm(train, truth, test, seed, config, options: EmotionOptions, room) -> np.ndarray:
    how = train_options(options.epochs, options.learning_rate, options.weight_decay)
    probability = lstm_probabilities(train, truth, test, seed, config, how, room)
    if not np.isfinite(probability).all():
        raise InputError(
            f"emotion: the LSTM of seed {seed} gives probabilities that are not finite; "
            "give a lower learning_rate"
        )
    return probability


def judged_row(name: str, emotion: np.ndarray, probability: np.ndarray, **more) -> dict[str, Any]:
    """A method's result as plain values.

    Args:
        name: the method's.
        emotion: index into `IMIGUE_EMOTIONS`, int `[N]`.
        probability: of a positive emotion, `[N]`; a half counts as positive.
        more: values that the row has besides, such as its seed.

    Returns:
        name, accuracy, n, low and high (95 % interval), auc, confusion (rows true, columns
        predicted, in the order of `IMIGUE_EMOTIONS`), and `more`. Accuracy and interval are
        shares in [0, 1].
    """
    predicted = np.where(probability >= 0.5, 0, 1)
    matrix = confusion(emotion, predicted, len(IMIGUE_EMOTIONS))
    accuracy = Accuracy(int(np.trace(matrix)), len(emotion))
    area = auc(emotion == 0, probability)
    row = {"name": name, **more, **accuracy.to_json()}
    return row | {"auc": area, "confusion": matrix.tolist()}


def mean_row(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of several rows on the same videos: accuracy with the interval that one row of
    it would have, AUC, the seeds' standard deviation of the accuracy, and the sum of their
    confusion.
    """
    accuracies = [row["accuracy"] for row in rows]
    mean = Accuracy.from_share(float(np.mean(accuracies)), rows[0]["n"])
    result: dict[str, Any] = {"name": name, **mean.to_json()}
    areas = [row["auc"] for row in rows]
    result["auc"] = None if None in areas else float(np.mean(areas))
    # Of a single seed there is none.
    result["deviation"] = float(np.std(accuracies, ddof=1)) if len(rows) > 1 else None
    result["confusion"] = np.sum([row["confusion"] for row in rows], axis=0).tolist()
    return result


def judge(
    store: Store,
    split: str,
    vectors_of: VectorsOf,
    config: EmotionLSTM.Config | None = None,
    options: EmotionOptions | None = None,
) -> dict[str, Any]:
    """Judge the emotion of a split's videos.

    Args:
        store: an opened store.
        split: its split of videos; "all", with folds, takes every video.
        vectors_of: called with rows of clips, int `[N]`; gives their vectors `[N, D]` and what
            they are, as `clip_vectors.run_vectors`, `file_vectors` and `label_vectors` do.
        config: the LSTM's options; None takes the defaults.
        options: how it is learnt and judged; None takes the defaults.

    Returns:
        Plain values: source, store (its fingerprint), split, vectors (what they are), emotions,
        rows (see `judged_row`: "LSTM" once a seed, "LSTM, mean", "LSTM, together", "bag of
        gestures", "majority"), training (videos), without_clips and without_emotion (ids),
        options, and videos (id, emotion and probabilities of every one judged).

    Raises:
        InputError: split, store and vectors do not fit together.
    """
    config, options = config or EmotionLSTM.Config(), options or EmotionOptions()
    videos = emotion_trials(store, split, options.folds)
    count = [len(clips) for clips in videos.clips]
    if not sum(count):
        raise InputError(f"{store.path}: the videos of split {split!r} have no clips")
    # All clips at once, for embedding them video by video would be slow.
    vectors, what = vectors_of(np.concatenate(videos.clips))
    sequences = np.split(vectors, np.cumsum(count)[:-1])
    # In a cross-validation every video is tested once.
    tested = np.sort(np.concatenate([test for _, test in videos.trials]))
    found = predict(videos, sequences, config, options).of(tested)
    emotion, ids = videos.emotion[tested], store.videos.id[videos.rows]
    # Plain values alone: this is what a file of JSON gets, and no path is among them.
    result: dict[str, Any] = {"source": store.attributes["source"], "store": store.fingerprint}
    result["split"] = split
    result["vectors"] = what | {"width": vectors.shape[1]}
    result["emotions"] = list(IMIGUE_EMOTIONS)
    result["rows"] = _judged_rows(emotion, found)
    result["training"] = len(videos.rows) if options.folds else len(videos.trials[0][0])
    result["without_clips"] = [str(id) for id, clips in zip(ids, count) if not clips]
    result["without_emotion"] = videos.left_out
    result["options"] = dataclasses.asdict(config) | dataclasses.asdict(options)
    result["videos"] = _judged_videos(ids[tested], emotion, found)
    return result


def _judged_videos(ids: np.ndarray, emotion: np.ndarray, found: Predictions) -> list[dict]:
    videos = []
    for id, each, lstm, bag in zip(ids, emotion, found.together, found.bag):
        probabilities = {"LSTM": round(float(lstm), 4), "bag of gestures": round(float(bag), 4)}
        videos.append({"id": str(id), "emotion": IMIGUE_EMOTIONS[each], **probabilities})
    return videos


def _judged_rows(emotion: np.ndarray, found: Predictions) -> list[dict[str, Any]]:
    seeds = [judged_row("LSTM", emotion, each, seed=seed) for seed, each in enumerate(found.lstm)]
    return [
        *seeds,
        mean_row("LSTM, mean", seeds),
        judged_row("LSTM, together", emotion, found.together),
        judged_row("bag of gestures", emotion, found.bag),
        judged_row("majority", emotion, found.majority),
    ]


def result_table(result: dict[str, Any]) -> Table:
    """What `judge` found, with 95 % intervals; `how_judged` says of how many videos."""
    table = Table(["", "accuracy, % (95 % interval)", "AUC", "confusion"])
    for row in result["rows"]:
        # Single seeds stand below, on one line.
        if row["name"] != "LSTM":
            area = None if row["auc"] is None else f"{row['auc']:.3f}"
            table.add(row["name"], Accuracy.from_json(row).cell, area, row["confusion"])
    return table


def how_judged(result: dict[str, Any]) -> str:
    """Lines that stand below the table: seeds, n, how it was judged, and who was left out."""
    rows, options, what = result["rows"], result["options"], result["vectors"]
    seeds = [percent(row["accuracy"]) for row in rows if row["name"] == "LSTM"]
    number = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    meaning = "confusion: rows true, columns predicted, positive first"
    lines = [f"LSTM of {number}: {', '.join(seeds)} %; {meaning}"]
    how = f"{result['training']} training videos"
    if options["folds"]:
        how = f"{options['folds']}-fold cross-validation, no subject in two folds"
    origin = ", ".join(f"{name} {value}" for name, value in what.items() if name != "width")
    judged = f"n = {rows[0]['n']} videos judged, {how}"
    lines.append(f"{judged}; vectors of {what['width']}: {origin}")
    for name, text in (
        ("without_clips", "videos have no clips and are given the majority emotion"),
        ("without_emotion", "videos of the split have no emotion and are left out"),
    ):
        if result[name]:
            lines.append(f"{len(result[name])} {text}: {', '.join(result[name])}")
    return "\n".join(lines)
