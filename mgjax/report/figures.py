"""Figures of data, training and evaluation: clip lengths, losses, confusion matrices."""

from __future__ import annotations

import math
import os
import pathlib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mgjax.errors import InputError
from mgjax.report import pictures
from mgjax.report.pictures import CENTRED, CLASS_COLOURS, INK, QUIET

# A histogram's bars are as light as a hand, for its median to stand out.
_BAR = "#6aa6dc"


# Clip lengths


@pictures.house_style()
def clip_lengths(
    path: str | os.PathLike, lengths: np.ndarray, unit: str = "frames", title: str = ""
) -> pathlib.Path:
    """Draw a histogram of clip lengths with their median; logarithmic where they span decades.

    Args:
        path: the file to write.
        lengths: `[N]`, above 0.
        unit: what they are counted in, such as "frames" or "seconds".
        title: a line above.
    """
    lengths = np.asarray(lengths, np.float64)
    if not lengths.size or not (lengths > 0).all():
        raise InputError(f"{path}: clip lengths to draw must be given and be above 0")
    wide = bool(lengths.max() > 20 * lengths.min())
    figure = pictures.new_figure(5.2, 2.8)
    axes = figure.add_axes((0.11, 0.17, 0.86, 0.7))
    edges = _bar_edges(lengths, wide, unit == "frames")
    axes.hist(lengths, edges.tolist(), color=_BAR, edgecolor="white", linewidth=0.5)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    median = float(np.median(lengths))
    axes.axvline(median, color=INK, linewidth=1)
    axes.annotate(
        f"median {median:.3g}",
        (median, 1),
        (4, 0),
        xycoords=("data", "axes fraction"),
        va="top",
        textcoords="offset points",
    )
    axes.set_xlabel(f"clip length ({unit})")
    axes.set_ylabel("clips")
    axes.set_title(title)
    return pictures.save(figure, path)


def _bar_edges(lengths: np.ndarray, wide: bool, whole_frames: bool) -> np.ndarray:
    """Where a histogram's bars begin and end, `[bars + 1]`."""
    low, high = lengths.min(), lengths.max()
    # About Rice's rule: 2 n^(1/3) bars.
    bars = min(40, max(5, round(2 * lengths.size ** (1 / 3))))
    if wide:
        return np.geomspace(low, high, bars + 1)
    if whole_frames:
        # Whole frames a bar, or some bars would hold one more length than others.
        each = max(1, math.ceil((high - low + 1) / bars))
        return np.arange(low, high + 1 + each, each) - 0.5
    # Lengths that are all the same still need a bar with some width.
    return np.linspace(low, max(high, low * 1.01), bars + 1)


# Losses


class _Curves(NamedTuple):
    """What a run wrote down over time."""

    clock: str  # "step" or "epoch"
    times: np.ndarray  # [n]
    values: dict[str, np.ndarray]  # each [n], NaN where a record lacks it


def _one_record_a_time(path, records: list[Mapping]) -> tuple[str, list[Mapping]]:
    """The clock that all records have, and the records in its order, one a time.

    A run that was killed and resumed repeats itself; what was written last counts.
    """
    for clock in ("step", "epoch"):
        if all(clock in record for record in records):
            last = {record[clock]: record for record in records}
            return clock, [last[time] for time in sorted(last)]
    raise InputError(f"{path}: records to draw must all have a step or all have an epoch")


def _number(value: Any) -> float:
    # True is an int to Python, but no number to draw.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return float(value)


def _curves(path, records: Iterable[Mapping], names: Sequence[str] | None) -> _Curves:
    """The numbers to draw out of a run's records: those named, or all that are ever finite."""
    records = list(records)
    if not records:
        raise InputError(f"{path}: no records to draw")
    clock, records = _one_record_a_time(path, records)
    epochs = {record.get("epoch") for record in records} - {None}
    if len(epochs) == len(records):
        clock = "epoch"
    wanted = _quantities(records) if names is None else list(names)
    values = {name: np.array([_number(record.get(name)) for record in records]) for name in wanted}
    empty = [name for name, curve in values.items() if not np.isfinite(curve).any()]
    if names is None:
        values = {name: curve for name, curve in values.items() if name not in empty}
        empty = []
    if empty or not values:
        missing = empty[0] if empty else "loss"
        raise InputError(f"{path}: no record has a number called {missing!r} to draw")
    # Records count epochs from 0; a picture counts them from 1, as everybody does.
    first = 1 if clock == "epoch" else 0
    times = np.array([record[clock] + first for record in records])
    return _Curves(clock, times, values)


def _quantities(records: Iterable[Mapping]) -> list[str]:
    """What the records hold besides their clocks, in order of appearance, "loss" first."""
    found = dict.fromkeys(name for record in records for name in record)
    quantities = [name for name in found if name not in ("epoch", "step")]
    return sorted(quantities, key=lambda name: name != "loss")


@pictures.house_style()
def loss_curves(
    path: str | os.PathLike, records: Sequence[Mapping], names: Sequence[str] | None = None
) -> pathlib.Path:
    """Draw losses over training, one panel each.

    A panel is logarithmic where a positive loss falls and spans a factor of ten.

    Args:
        path: the file to write.
        records: the lines of a metrics.jsonl: "epoch" or "step" or both, and numbers by name
            ("loss", "reconstruction", ...). Where a step comes twice the last one counts.
        names: the numbers to draw; None draws all of them, "loss" first.
    """
    clock, times, curves = _curves(path, records, names)
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = pictures.new_figure(3.4 * columns, 2.3 * rows)
    for place, (name, values) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        finite = np.isfinite(values)
        _draw_curve(axes, times[finite], values[finite], INK if place == 1 else CLASS_COLOURS[0])
        axes.set_title(name)
        axes.set_xlabel(clock)
        _count_in_whole_numbers(axes.xaxis)
        axes.grid(axis="y")
    figure.tight_layout()
    return pictures.save(figure, path)


def _count_in_whole_numbers(axis) -> None:
    axis.get_major_locator().set_params(integer=True)


def _draw_curve(axes, times: np.ndarray, values: np.ndarray, colour: str) -> None:
    # A line through few points hides where they are, and one point is no line at all.
    marker = "o" if len(values) < 12 else None
    axes.plot(times, values, color=colour, linewidth=1.1, marker=marker, markersize=3)
    low, high, last = values.min(), values.max(), values[-1]
    if 0 < low < high / 10 and last < values[0]:
        axes.set_yscale("log")
    axes.set_title(f"last {last:.4g}", loc="right", color=QUIET, size=8, weight="normal")


# Confusion


@pictures.house_style()
def confusion_matrix(
    path: str | os.PathLike, matrix: np.ndarray, labels: Sequence[str], title: str = ""
) -> pathlib.Path:
    """Draw a confusion matrix: rows are true classes, columns predicted ones.

    The colour is the share of the row, the figure in a cell its count; a 0 is left blank. The
    number of samples of each true class stands at the right. Long class names stand at the rows
    only, with the class numbers that the columns then carry.

    Args:
        path: the file to write.
        matrix: counts, int `[K, K]`.
        labels: K class names.
        title: a line above.
    """
    matrix, count = np.asarray(matrix), len(labels)
    counts = np.issubdtype(matrix.dtype, np.integer) and matrix.min(initial=0) >= 0
    if not count or matrix.shape != (count, count) or not counts:
        raise InputError(
            f"{path}: a confusion matrix of {count} classes is [{count}, {count}] counts, got "
            f"{matrix.dtype} {list(matrix.shape)}"
        )
    share = matrix / np.maximum(matrix.sum(1), 1)[:, None]
    cell = float(np.interp(count, [4, 12, 32], [0.55, 0.42, 0.31]))
    side = cell * count
    # An inch for the colours' key; names around the matrix widen the picture when it is saved.
    figure = pictures.new_figure(side + 1, side)
    axes = figure.add_axes((0, 0, side / (side + 1), 1))
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    _write_counts(axes, matrix, share)
    _name_classes(axes, labels)
    _rule_cells(axes, count)
    axes.set_ylabel("true class")
    axes.set_title(title, pad=8)
    _draw_key(figure, image, side)
    return pictures.save(figure, path, bbox_inches="tight", pad_inches=0.15)


def _write_counts(axes, matrix: np.ndarray, share: np.ndarray) -> None:
    """The count in every cell that has any, and every row's total at its right."""
    size = float(np.interp(len(matrix), [12, 32], [7.5, 6]))
    for i, j in zip(*np.nonzero(matrix)):
        fitting = size * (0.8 if matrix[i, j] > 999 else 1)
        colour = "white" if share[i, j] > 0.55 else INK
        axes.text(j, i, str(matrix[i, j]), size=fitting, color=colour, **CENTRED)
    for i, total in enumerate(matrix.sum(1)):
        text = f"n = {total}" if i == 0 else str(total)
        axes.text(len(matrix) - 0.35, i, text, color=QUIET, size=size, va="center")


def _name_classes(axes, labels: Sequence[str]) -> None:
    """Names at rows and columns, or numbers at the columns where a name is too long to slant."""
    places = range(len(labels))
    names = [textwrap.shorten(name, 60, placeholder="…") for name in labels]
    if max(map(len, names)) <= 14:
        axes.set_yticks(places, names)
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_xlabel("predicted class")
    else:
        axes.set_yticks(places, [f"{name}  {i}" for i, name in enumerate(names)])
        axes.set_xticks(places, [str(i) for i in places])
        axes.set_xlabel("predicted class, by its number")


def _rule_cells(axes, count: int) -> None:
    """Thin lines between cells, at minor ticks that are not drawn themselves."""
    between = np.arange(1, count) - 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
    axes.tick_params(which="both", length=0)


def _draw_key(figure, image, side: float) -> None:
    """What the colours mean, beside a matrix of `side` inches in a figure an inch wider."""
    tall = min(1.6, side)
    width = side + 1
    place = ((side + 0.75) / width, 1 - tall / side, 0.09 / width, tall / side)
    key = figure.colorbar(
        image, cax=figure.add_axes(place), ticks=(0, 0.5, 1), label="share of the true class"
    )
    key.outline.set_visible(False)
