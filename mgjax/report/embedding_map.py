"""A map of embeddings in the plane."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from mgjax.errors import InputError
from mgjax.report import pictures
from mgjax.report.pictures import CLASS_COLOURS, CLASS_MARKERS, QUIET, RULE

MOST_MAPPED = 3000  # t-SNE takes seconds for this many points and minutes for ten times as many


@pictures.house_style()
def embedding_map(
    path: str | os.PathLike,
    embeddings: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    title: str = "",
) -> pathlib.Path:
    """Draw a map of embeddings by t-SNE, one colour and marker a class.

    The same input gives the same map. Of more than `MOST_MAPPED` embeddings, that many are drawn,
    picked at random with a fixed seed. The axes of t-SNE mean nothing and have no scale.

    Args:
        path: the file to write.
        embeddings: float32 `[N, D]`, N at least 5.
        labels: class numbers, int `[N]`; -1 is no class.
        names: class names, in class order.
        title: a line above.
    """
    embeddings, labels = np.asarray(embeddings, np.float32), np.asarray(labels)
    count = len(embeddings)
    if embeddings.ndim != 2 or labels.shape != (count,) or count < 5:
        raise InputError(
            f"{path}: embeddings {list(embeddings.shape)} and labels {list(labels.shape)}, "
            "expected [N, D] and [N] with N at least 5"
        )
    embeddings = _at_unit_size(path, embeddings)
    if labels.min() < -1 or labels.max() >= len(names):
        raise InputError(f"{path}: a label lies outside the {len(names)} class names")
    if count > MOST_MAPPED:
        picked = np.random.default_rng(0).choice(count, MOST_MAPPED, replace=False)
        embeddings, labels = embeddings[picked], labels[picked]
    points = _tsne(embeddings)
    figure = pictures.new_figure(5.6, 5.6)
    axes = figure.add_axes((0.03, 0.05, 0.94, 0.89))
    for label in np.unique(labels):  # the unlabelled first, beneath the rest
        _draw_class(axes, points[labels == label], int(label), names)
    _frame(axes)
    axes.set_title(title)
    drawn = f"{len(labels)} of {count} clips" if count > len(labels) else f"{count} clips"
    axes.set_xlabel(f"t-SNE of {drawn}", color=QUIET, loc="right")
    return pictures.save(figure, path, bbox_inches="tight", pad_inches=0.1)


def _at_unit_size(path, embeddings: np.ndarray) -> np.ndarray:
    """Embeddings `[N, D]` centred and scaled to ±1.

    t-SNE looks at ratios of distances alone; where float32 has none, it would crash, not raise.
    """
    if not np.isfinite(embeddings).all():
        raise InputError(f"{path}: embeddings to map are not finite")
    centred = embeddings - embeddings.mean(0, dtype=np.float64)
    largest = np.abs(centred).max(initial=0)
    if largest <= 1e-6 * np.abs(embeddings).max(initial=0):
        raise InputError(
            f"{path}: all {len(embeddings)} embeddings are the same, which no map can show"
        )
    return (centred / largest).astype(np.float32)


def _tsne(embeddings: np.ndarray) -> np.ndarray:
    """Places `[N, 2]` of embeddings `[N, D]`; scikit-learn's defaults, as far as N allows."""
    with pictures.extra():
        from sklearn.manifold import TSNE
    # The perplexity must be below N; principal components in the plane need two dimensions.
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    start = "pca" if embeddings.shape[1] > 1 else "random"
    return TSNE(perplexity=perplexity, random_state=0, init=start).fit_transform(embeddings)


def _draw_class(axes, points: np.ndarray, label: int, names: Sequence[str]) -> None:
    """Scatter the points `[n, 2]` of a class, -1 for those without one."""
    colour, marker, name = RULE, "o", "no class"
    if label >= 0:
        # The markers turn with every round of the colours, so that 32 classes look different.
        turn, place = divmod(label, len(CLASS_COLOURS))
        colour = CLASS_COLOURS[place]
        marker = CLASS_MARKERS[(place + turn) % len(CLASS_MARKERS)]
        name = names[label]
    axes.scatter(
        *points.T,
        s=15,
        alpha=0.8,
        linewidths=0.3,
        edgecolors="white",
        color=colour,
        marker=marker,
        label=f"{name} ({len(points)})",
    )


def _frame(axes) -> None:
    """A frame without ticks, one scale for both axes, and the classes' names beside it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", "datalim")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(RULE)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        markerscale=1.5,
        borderaxespad=0,
        handletextpad=0.3,
        labelspacing=0.35,
    )
