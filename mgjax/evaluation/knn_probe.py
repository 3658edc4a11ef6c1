"""The KNN probe of a run: its trained encoder, the untrained one and the keypoints themselves,
side by side.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from mgjax.batching import bucket_edges
from mgjax.blocks import Blocks
from mgjax.errors import InputError
from mgjax.evaluation.embedding import RAW, embed_clips, resampled_keypoints
from mgjax.evaluation.knn import Metric, knn_ranking
from mgjax.evaluation.metrics import Classification, classification, per_class, top1_accuracy
from mgjax.preparation import Preparation
from mgjax.report.accuracy import Accuracy, percent
from mgjax.report.tables import Table
from mgjax.store import Store
from mgjax.training import build_model, load_model

# What probe.json says of the trained encoder, by its names in `metrics.Classification`.
FIGURES = ("top1", "top5", "mean_class_accuracy", "macro_f1")


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What the probe found.

    Attributes:
        rows: name of what was judged to its metrics (`metrics.classification`): "trained",
            "untrained", "prepared keypoints", "raw keypoints", "majority class".
        summary: the trained encoder's metrics and settings, as probe.json holds them.
        test_embeddings: the trained encoder's features of the test clips, `[N, D]`.
        test_labels: their classes, `[N]`.
        classes: class names.
    """

    rows: dict[str, Classification]
    summary: dict[str, Any]
    test_embeddings: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]


def labelled_split(store: Store, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Labelled training and test clips of a split, as rows.

    Raises:
        InputError: either side has none.
    """
    train, test = (rows[store.clips.label[rows] >= 0] for rows in store.clip_split(split))
    for side, rows in (("training", train), ("test", test)):
        if not len(rows):
            raise InputError(
                f"{store.path}: split {split!r} has no labelled {side} clips to probe with"
            )
    return train, test


def majority(train_labels: np.ndarray, test_labels: np.ndarray, classes: int) -> Classification:
    """Metrics of always ranking classes by how often they occur in training."""
    counts = np.bincount(train_labels, minlength=classes)
    # Of classes that occur as often the lower one comes first.
    ranking = np.argsort(-counts, kind="stable")
    return classification(test_labels, np.tile(ranking, (len(test_labels), 1)), classes)


def probe_run(
    folder: str | os.PathLike,
    store: Store,
    split: str,
    *,
    k: int = 1,
    metric: Metric = "cosine",
    weighted: bool = False,
    feature: str | None = None,
    step: int | None = None,
) -> ProbeResult:
    """KNN of the test clips against the training clips of a split (the paper's Sec. 4 and 5.3).

    Args:
        folder: a run's working folder.
        store: an opened store of the run's layout; not necessarily the one trained on.
        split: the store's split; its training clips are the gallery.
        k, metric, weighted: of the vote, see `knn.knn_ranking`.
        feature: what to take from the encoder; None takes the run's own choice.
        step: which checkpoint; None takes the newest.

    Raises:
        InputError: run, store and split do not fit together.
    """
    model, run, step = load_model(folder, step)
    run.check_store(store)
    vote = _Vote.of_split(store, split, k, metric, weighted)
    # One set of blocks for all that is judged: what is on the device stays there.
    rows = np.concatenate([vote.train, vote.test])
    blocks, lengths = Blocks(store, rows), store.clips.length[rows]
    # Both sides are padded to the same lengths, so that each is compiled once.
    edges, raw_edges = bucket_edges(run.preparation.lengths(lengths)), bucket_edges(lengths)

    def by_model(model) -> tuple[Classification, np.ndarray]:
        def embed(clips):
            return embed_clips(
                model, blocks, clips, run.preparation, run.layout, feature, edges=edges
            )

        return vote.judge(embed)

    def by_keypoints(how: Preparation, edges: tuple[int, ...]) -> Classification:
        embed = functools.partial(
            resampled_keypoints, blocks, preparation=how, layout=run.layout, edges=edges
        )
        return vote.judge(embed)[0]

    trained, embeddings = by_model(model)
    judged = {
        "trained": trained,
        # The same seed, so the weights that training began with.
        "untrained": by_model(build_model(run))[0],
        "prepared keypoints": by_keypoints(run.preparation, edges),
        "raw keypoints": by_keypoints(RAW, raw_edges),
        "majority class": vote.by_majority(),
    }
    origin = {"feature": feature or getattr(run.options, "feature", None), "step": step}
    origin |= {"split": split, "model": run.model, "store": store.fingerprint}
    summary = _summary(judged, vote, origin)
    return ProbeResult(judged, summary, embeddings, vote.labels[vote.test], store.labels)


@dataclasses.dataclass(frozen=True)
class _Vote:
    """Test clips judged by training clips; how does not depend on what embeds them."""

    labels: np.ndarray  # of every clip of the store, -1 where unknown
    classes: int
    train: np.ndarray
    test: np.ndarray
    k: int
    metric: Metric
    weighted: bool

    @classmethod
    def of_split(cls, store: Store, split: str, k: int, metric: Metric, weighted: bool) -> _Vote:
        """The labelled test clips of a split against its labelled training clips."""
        train, test = labelled_split(store, split)
        if k > len(train):
            raise InputError(
                f"k is {k}, but split {split!r} has only {len(train)} labelled training clips"
            )
        classes = len(store.labels)
        return cls(store.clips.label, classes, train, test, k, metric, weighted)

    def by_majority(self) -> Classification:
        """What training's most frequent class has."""
        return majority(self.labels[self.train], self.labels[self.test], self.classes)

    def judge(self, embed: Callable[[np.ndarray], np.ndarray]) -> tuple[Classification, np.ndarray]:
        """Metrics of the test clips, and their vectors."""
        gallery, queries = embed(self.train), embed(self.test)
        known, truth = self.labels[self.train], self.labels[self.test]
        how = self.k, self.metric, self.weighted
        ranking = knn_ranking(queries, gallery, known, self.classes, *how)
        return classification(truth, ranking, self.classes), queries


def _summary(judged: dict[str, Classification], vote: _Vote, origin: dict) -> dict[str, Any]:
    """What probe.json holds: plain values, and no path."""
    trained: dict[str, Any] = {**judged["trained"]}
    summary = {name: trained[name] for name in FIGURES}
    summary |= {"k": vote.k, "metric": vote.metric, "weighted": vote.weighted}
    summary |= {"n_train": len(vote.train), "n_test": len(vote.test), "ci95": trained["ci95"]}
    summary |= origin
    # Each control by its name, such as raw_keypoints_top1.
    for name, row in judged.items():
        if name != "trained":
            summary[f"{name.replace(' ', '_')}_top1"] = row["top1"]
    return summary


def result_table(result: ProbeResult) -> Table:
    """The probe's rows with 95 % intervals; `how_judged` says of how many clips."""
    headings = ["", "top-1, % (95 % interval)", "top-5, %", "class mean, %", "macro-F1, %"]
    table = Table(headings)
    for name, row in result.rows.items():
        figures = (row["top5"], row["mean_class_accuracy"], row["macro_f1"])
        table.add(name, top1_accuracy(row).cell, *map(percent, figures))
    return table


def how_judged(result: ProbeResult) -> str:
    """A line on what was judged: neighbours, gallery and n."""
    summary = result.summary
    vote = f"{summary['k']}-nearest-neighbour, {summary['metric']} distance"
    if summary["weighted"]:
        vote += ", weighted"
    clips = f"gallery {summary['n_train']} clips, n = {summary['n_test']} test clips"
    return f"{vote}; {clips}, {len(result.classes)} classes"


def class_table(result: ProbeResult) -> Table:
    """The trained encoder's precision, recall and F1 by class, with n and 95 % intervals."""
    matrix = result.rows["trained"]["confusion"]
    figures = per_class(matrix)
    table = Table(["class", "n", "precision, %", "recall, % (95 % interval)", "F1, %"])
    for i, name in enumerate(result.classes):
        # Of a class without a test clip the recall says nothing: its cell is "–".
        recall = Accuracy(int(matrix[i, i]), int(figures["support"][i]))
        precision, f1 = percent(figures["precision"][i]), percent(figures["f1"][i])
        table.add(name, recall.n, precision, recall.cell, f1)
    return table
