"""The KNN probe of a run: its trained encoder, the untrained one and the keypoints themselves,
side by side.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from mgjax.batching import Blocks, Frames, bucket_edges, gather
from mgjax.errors import InputError
from mgjax.evaluation.embedding import RAW, embed_clips, prepared_batch, resampled_keypoints
from mgjax.evaluation.knn import knn_ranking
from mgjax.evaluation.metrics import classification, per_class
from mgjax.report import animations, embedding_map, figures
from mgjax.report.accuracy import wilson_interval
from mgjax.store import Store
from mgjax.training import Run, build_model, load_model
from mgjax.training.folder import RunFolder
from mgjax.transforms import Preparation, one_sided

# what `draw` draws
PICTURES = ("loss.png", "confusion.png", "embeddings.png", "reconstruction.gif")
# What a record of metrics.jsonl holds beside the losses.
CLOCKS = ("epoch", "step", "learning_rate", "frames_per_second", "seconds")


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

    rows: dict[str, dict]
    summary: dict
    test_embeddings: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]


def labelled_split(store: Store, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Labelled training and test clips of a split, as rows.

    Raises:
        InputError: either side has none.
    """
    sides = []
    for side, rows in zip(("training", "test"), store.clip_split(split)):
        rows = rows[store.clips.label[rows] >= 0]
        if not len(rows):
            raise InputError(
                f"{store.path}: split {split!r} has no labelled {side} clips to probe with"
            )
        sides.append(rows)
    return tuple(sides)


def majority(train_labels: np.ndarray, test_labels: np.ndarray, classes: int) -> dict:
    """Metrics of always ranking classes by how often they occur in training."""
    ranking = np.argsort(-np.bincount(train_labels, minlength=classes), kind="stable")
    return classification(test_labels, np.tile(ranking, (len(test_labels), 1)), classes)


def probe_run(
    folder: str | os.PathLike,
    store: Store,
    split: str,
    *,
    k: int = 1,
    metric: str = "cosine",
    weighted: bool = False,
    feature: str | None = None,
    step: int | None = None,
) -> ProbeResult:
    """KNN of the test clips against the training clips of a split (the paper's Sec. 4 and 5.3).

    Args:
        folder: a run's working folder.
        store: an opened store of the run's layout; not necessarily the one trained on.
        split: the store's split; its training clips are the gallery.
        k, metric, weighted: of the vote, see `knn`.
        feature: what to take from the encoder; None takes the run's own choice.
        step: which checkpoint; None takes the newest.

    Raises:
        InputError: run, store and split do not fit together.
    """
    model, run, step = load_model(folder, step)
    run.check_store(store)
    train, test = labelled_split(store, split)
    if k > len(train):
        raise InputError(
            f"k is {k}, but split {split!r} has only {len(train)} labelled training clips"
        )
    labels, classes = store.clips.label, len(store.labels)
    rows = np.concatenate([train, test])
    blocks, lengths = Blocks(store, rows), store.clips.length[rows]
    edges, raw_edges = bucket_edges(run.preparation.lengths(lengths)), bucket_edges(lengths)

    def judge(embed):
        gallery, queries = embed(train), embed(test)
        ranking = knn_ranking(queries, gallery, labels[train], classes, k, metric, weighted)
        return classification(labels[test], ranking, classes), queries

    def by_model(which):
        return judge(
            lambda rows: embed_clips(
                which, blocks, rows, run.preparation, run.layout, feature, edges=edges
            )
        )

    def by_keypoints(preparation: Preparation, edges):
        return judge(
            lambda rows: resampled_keypoints(blocks, rows, preparation, run.layout, edges=edges)
        )[0]

    trained, embeddings = by_model(model)
    judged = {
        "trained": trained,
        "untrained": by_model(build_model(run))[0],
        "prepared keypoints": by_keypoints(run.preparation, edges),
        "raw keypoints": by_keypoints(RAW, raw_edges),
        "majority class": majority(labels[train], labels[test], classes),
    }
    summary = {name: trained[name] for name in ("top1", "top5", "mean_class_accuracy", "macro_f1")}
    summary |= {
        "k": k,
        "metric": metric,
        "weighted": weighted,
        "n_train": len(train),
        "n_test": len(test),
        "ci95": trained["ci95"],
        "feature": feature or getattr(run.options, "feature", None),
        "step": step,
        "split": split,
        "model": run.model,
        "store": store.fingerprint,
    }
    summary |= {
        f"{name.replace(' ', '_')}_top1": row["top1"]
        for name, row in judged.items()
        if name != "trained"
    }
    return ProbeResult(judged, summary, embeddings, labels[test], store.labels)


def draw(
    result: ProbeResult,
    folder: str | os.PathLike,
    store: Store,
    split: str,
    pictures: str | os.PathLike,
    log: Callable[[str], None] = print,
) -> list[pathlib.Path]:
    """Draw a probed run's loss curves, confusion matrix, map of the test embeddings and one
    re-generated test clip.

    The clip is the one whose length is nearest to the median. A picture that cannot be drawn,
    such as a map of four clips, is left out, and `log` is told why. Returns the pictures' paths;
    `pictures` is made if it is not there.

    Raises:
        InputError: none can be drawn.
    """
    pictures = pathlib.Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    model, run, _ = load_model(folder, result.summary["step"])
    count, percent = len(result.test_labels), f"{result.rows['trained']['top1']:.1%}"

    def loss(path):
        records = RunFolder(folder).metrics()
        names = [name for name in (records[0] if records else ()) if name not in CLOCKS]
        return figures.loss_curves(path, records, names)

    def confusion(path):
        return figures.confusion_matrix(
            path,
            result.rows["trained"]["confusion"],
            result.classes,
            f"{run.model}, {split}: top-1 {percent} of n = {count}",
        )

    def embeddings(path):
        return embedding_map.embedding_map(
            path,
            result.test_embeddings,
            result.test_labels,
            result.classes,
            f"{run.model} embeddings of {count} test clips",
        )

    def reconstruction(path):
        if not hasattr(model, "reconstruct"):
            raise InputError(f"{path}: model {run.model!r} re-generates no clips")
        return _draw_reconstruction(path, model, run, store, split)

    drawn, problem = [], None
    for name, picture in zip(PICTURES, (loss, confusion, embeddings, reconstruction)):
        try:
            drawn.append(picture(pictures / name))
        except InputError as error:
            problem = error
            log(f"no {name}: {error}")
    if not drawn:
        raise problem
    return drawn


def _draw_reconstruction(path, model, run, store, split):
    _, test = labelled_split(store, split)
    lengths = store.clips.length[test]
    row = int(test[np.argmin(np.abs(lengths - np.median(lengths)))])
    original, regenerated, score = reconstruct_clip(model, run, store, row)
    video, length = store.clips.video[row], int(store.clips.length[row])
    # Frames of a resampled clip lie between the recording's; the nearest one names them.
    numbers = store.clips.start[row] + np.linspace(0, length - 1, len(original)).round().astype(int)
    # The body's own axes have y up whatever the store's do.
    y_points = store.y if run.preparation.axes == "none" else "up"
    title = f"{store.labels[store.clips.label[row]]} (test clip {row})"
    return animations.reconstruction_gif(
        path,
        run.layout,
        original,
        regenerated,
        score,
        fps=float(store.videos.fps[video]) or 25.0,
        title=title,
        frame_numbers=numbers,
        y_points=y_points,
    )


def reconstruct_clip(
    model, run: Run, store: Store, row: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip as the model reads it and as it re-generates it, keypoints `[T, V, C]` each, and
    its score `[T, V]`.
    """
    keypoints, score = store.clip(row)
    start, length, label = (
        jnp.array([0]),
        jnp.array([len(keypoints)]),
        jnp.array([store.clips.label[row]]),
    )
    # this clip and no other
    frames = Frames(jnp.asarray(keypoints), jnp.asarray(score), start, length, label)
    steps = int(run.preparation.lengths(len(keypoints)))
    batch = prepared_batch(frames, start, steps, run.preparation, run.layout)
    _, score, _, _ = gather(frames, start, steps, run.preparation.resampling)
    original = batch.inputs
    # what the decoder was trained to re-generate
    if run.augmentation.denoise and run.augmentation.mirror:
        original = one_sided(original, run.layout)
    both = (original[0], model.reconstruct(batch)[0])
    return *(np.asarray(run.preparation.drawable(each, run.layout)) for each in both), np.asarray(
        score[0]
    )


def result_table(result: ProbeResult) -> str:
    """The probe's rows as a plain text table with n and 95 % intervals."""
    lines = [
        f"{'':20s} {'top-1':>6s} {'95 % interval':>15s} {'top-5':>6s} {'class mean':>11s} "
        f"{'macro-F1':>9s}"
    ]
    for name, row in result.rows.items():
        low, high = row["ci95"]
        top5 = f"{row['top5']:6.1%}" if row["top5"] is not None else f"{'–':>6s}"
        lines.append(
            f"{name:20s} {row['top1']:6.1%} {f'{low:.1%} – {high:.1%}':>15s} {top5} "
            f"{row['mean_class_accuracy']:11.1%} {row['macro_f1']:9.1%}"
        )
    summary = result.summary
    votes = f"{summary['k']}-nearest-neighbour, {summary['metric']} distance"
    lines.append(
        f"{votes}{', weighted' if summary['weighted'] else ''}; gallery "
        f"{summary['n_train']} clips, "
        f"n = {summary['n_test']} test clips, {len(result.classes)} classes"
    )
    return "\n".join(lines)


def class_table(result: ProbeResult) -> str:
    """The trained encoder's precision, recall and F1 by class, as a plain text table."""
    matrix = result.rows["trained"]["confusion"]
    table = per_class(matrix)
    width = max(len("class"), *(len(name) for name in result.classes))
    lines = [
        f"{'class':{width}s} {'n':>6s} {'precision':>10s} {'recall':>7s} "
        f"{'95 % interval':>15s} {'F1':>6s}"
    ]
    for i, name in enumerate(result.classes):
        support = int(table["support"][i])
        low, high = wilson_interval(int(matrix[i, i]), support)
        recall = (
            f"{table['recall'][i]:7.1%} {f'{low:.1%} – {high:.1%}':>15s}"
            if support
            else f"{'–':>7s} {'–':>15s}"
        )
        lines.append(
            f"{name:{width}s} {support:6d} {table['precision'][i]:10.1%} {recall} "
            f"{table['f1'][i]:6.1%}"
        )
    return "\n".join(lines)
