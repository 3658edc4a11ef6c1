"""Reading what a study has measured: published figures beside our own, as JSON and Markdown.

Published figures are only shown beside the store and split that they are of; what is measured on
a simulation is called simulated.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from mgjax import files
from mgjax.errors import InputError
from mgjax.evaluation.paper import Method, PaperTable
from mgjax.evaluation.study import Study, is_built, missing
from mgjax.report.accuracy import Accuracy, percent
from mgjax.report.tables import Table
from mgjax.training import Run, RunFolder

# What is judged beside a run and does not depend on its seed.
SEEDLESS = ("prepared keypoints", "raw keypoints", "majority class", "majority")
# Of a result of ours; an accuracy of more has no interval.
_MOST_TESTED = 2**31

T = TypeVar("T")
# The figures of one seed, by name, with its `seed`, `n` and, of clips, `epochs`.
Seed = dict[str, Any]


def read_results(table: PaperTable, study: Study) -> dict[str, Any]:
    """What a table's rows have, out of the working folder.

    Returns:
        Plain values: table, title, source, split, published and published_n (whose figures and of
        how many tested, or None), figures, how, and rows: each with key, name, kind, published
        (figure to share, or None), measured (figure to mean over the seeds and its 95 % interval,
        or None), n, each (the figures of every seed) and note. Accuracies are shares in [0, 1].

    Raises:
        InputError: a result in the folder is damaged or of another store or split.
    """
    study.check(table)
    # None where no figure was published of this store and split.
    whose = study.published(table)
    simulated = " (simulated data)" if study.source.startswith("simulated") else ""
    # Reference rows say nothing where their figures may not stand.
    rows = [row for row in table.rows if whose or not row.reference]
    result: dict[str, Any] = {"table": table.number}
    result["title"] = f"Table {table.number}: {table.title}{simulated}"
    result["source"] = study.source
    result["split"] = study.emotion_split if table.videos else study.split
    result["published"] = whose
    result["published_n"] = None if whose is None else table.tested.get(whose)
    result["figures"] = dict(table.figures)
    result["how"] = _how(table, study)
    result["rows"] = [_read_row(table, row, study, whose) for row in rows]
    return result


def _how(table: PaperTable, study: Study) -> str:
    if table.videos:
        return (
            f"runs are trained on split {study.split}; seeds are the run's and, after the stroke, "
            "the LSTM's"
        )
    return (
        f"encoders are judged by {study.k}-nearest-neighbour, {study.metric} distance, after "
        "their last epoch"
    )


def _read_row(table: PaperTable, row: Method, study: Study, whose: str | None) -> dict[str, Any]:
    seeds = _results(table, row, study)
    published = None if whose is None else row.published.get(whose)
    shares = None
    if published:
        # Per cent of two places; the division would leave more.
        rounded = [None if each is None else round(each / 100, 4) for each in published]
        shares = dict(zip(table.figures, rounded))
    result: dict[str, Any] = {"key": row.key, "name": row.name, "kind": row.kind}
    result["published"] = shares
    result["measured"] = _measured(table.figures, seeds) or None
    result["n"] = seeds[0]["n"] if seeds else None
    result["each"] = seeds
    result["note"] = _note(table, row, seeds) if seeds else missing(row)
    return result


def _measured(figures: Iterable[str], seeds: Sequence[Seed]) -> dict[str, dict[str, float]]:
    """Of every figure that all seeds have, the mean and the interval of one seed that had it."""
    measured = {}
    for figure in figures if seeds else ():
        values = [seed[figure] for seed in seeds]
        # As of top-5 where there are few classes.
        if None not in values:
            mean = statistics.fmean(values)
            low, high = Accuracy.from_share(mean, seeds[0]["n"]).interval
            measured[figure] = {"mean": mean, "low": low, "high": high}
    return measured


def _note(table: PaperTable, row: Method, seeds: Sequence[Seed]) -> str:
    """Which seeds a row's figure is of, what each had, and how long they were trained."""
    if row.judged in SEEDLESS:
        return ""
    # A seed is text: of an LSTM on a run's vectors it is two, such as 0/3.
    names = ", ".join(seed["seed"] for seed in seeds)
    note = f"seed {names}"
    if len(seeds) > 1:
        values = (" / ".join(percent(seed[figure]) for figure in table.figures) for seed in seeds)
        note = f"mean of seeds {names}: {', '.join(values)}"
    # They may differ: a training may stop early.
    epochs = sorted({seed["epochs"] for seed in seeds if "epochs" in seed})
    if row.judged == "untrained" or not epochs:
        return note
    ends = sorted({epochs[0], epochs[-1]})
    return f"{note}; epochs: {' to '.join(map(str, ends))}"


# Out of the folder.


def _results(table: PaperTable, row: Method, study: Study) -> list[Seed]:
    """The figures of a row that has been judged, one entry a seed; one in all where the seed
    changes nothing.
    """
    if row.reference or not (is_built(row) or not row.model):
        return []
    if not row.model:
        path = study.workdir / row.key / "emotion.json"
        return _read_emotion(path, row, study) if path.is_file() else []
    folders = sorted((study.workdir / row.runs).glob("seed[0-9]*"), key=_seed_order)
    name = study.result(table, row)
    paths = [folder / name for folder in folders if (folder / name).is_file()]
    _check_alike([path.parent for path in paths])
    if row.judged in SEEDLESS:
        paths = paths[:1]
    read = _read_emotion if table.videos else _read_recognition
    return [seed for path in paths for seed in read(path, row, study)]


def _seed_order(folder: pathlib.Path) -> tuple[int, str]:
    """Seed 10 comes after seed 9."""
    return len(folder.name), folder.name


def _without_seed(run: Run) -> Run:
    """A run without what may differ between the runs of a mean."""
    training = dataclasses.replace(run.training, seed=0, checkpoint_seconds=0.0)
    return dataclasses.replace(run, training=training)


def _check_alike(folders: Sequence[pathlib.Path]) -> None:
    """Raise InputError where runs differ by more than their seed, for then their mean says
    nothing.
    """
    # Each was checked against its own folder when it was trained, not against the others.
    runs = [_without_seed(RunFolder(folder).load()) for folder in folders]
    for folder, run in zip(folders, runs):
        if run != runs[0]:
            raise InputError(
                f"{folder}: this run and {folders[0]} have other options beside their seeds"
            )


def _read(path: pathlib.Path, take: Callable[[Any], T]) -> T:
    """What `take` takes of a result; whatever is not as it should be makes it a damaged one."""
    expected = "a result of this version of mgjax; without this file the row can be judged again"
    found = files.read_json(path, expected)
    try:
        return take(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(f"{path}: damaged; expected {expected}") from None


def _figures(found: dict[str, Any], needed: Sequence[str]) -> dict[str, Any]:
    """The figures of a result, the needed ones and n, how many were tested, among them: shares
    in [0, 1] or None.
    """
    absent = {*needed, "n"} - set(found)
    if absent:
        raise KeyError(*absent)
    for name, value in found.items():
        if name == "n":
            # Not isinstance: to Python, true is a number.
            good = type(value) is int and 1 <= value < _MOST_TESTED
        else:
            # never true of NaN
            good = value is None or (type(value) in (int, float) and 0 <= value <= 1)
        if not good:
            raise ValueError
    return found


def _check_origin(path: pathlib.Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if name == "store" and name not in found:  # a result of an earlier version
            continue
        if found.get(name) != value:
            raise InputError(
                f"{path}: a result of {name} {found.get(name)!r}, not {value!r}; every store and "
                "split needs a working folder of its own"
            )


def _read_recognition(path: pathlib.Path, row: Method, study: Study) -> list[Seed]:
    """The figures out of what `study.run_rows` wrote of clips."""

    def take(found: Any) -> tuple[dict, int, dict]:
        figures = _figures(found["rows"][row.judged], ("top1", "top5"))
        return dict(found["origin"]), int(found["epochs"]), figures

    origin, epochs, figures = _read(path, take)
    _check_origin(path, origin, study.origin())
    return [{"seed": path.parent.name.removeprefix("seed"), "epochs": epochs} | figures]


def _read_emotion(path: pathlib.Path, row: Method, study: Study) -> list[Seed]:
    """Figures out of what `video_emotion.judge` found; a seed is the run's and the LSTM's, where
    there are such.
    """

    def take(found: Any) -> tuple[dict, list[Seed]]:
        origin = {name: found[name] for name in ("source", "split", "store") if name in found}
        seeds = []
        for one in found["rows"]:
            if one["name"] == row.judged:
                figures = _figures({name: one[name] for name in ("accuracy", "auc", "n")}, ())
                seeds.append({"seed": one.get("seed")} | figures)
        return origin | {"folds": found["options"]["folds"]}, seeds

    origin, seeds = _read(path, take)
    # Cross-validated figures are of other videos.
    wanted = {"source": study.source, "split": study.emotion_split, "folds": 0}
    _check_origin(path, origin, wanted | {"store": study.store.fingerprint})
    of_run = [path.parent.name.removeprefix("seed")] if row.model else []
    for one in seeds:
        of_lstm = [] if one["seed"] is None else [str(one["seed"])]
        one["seed"] = "/".join(of_run + of_lstm)
    return seeds


# As text.


def to_json(result: dict[str, Any]) -> str:
    """A table that `read_results` gave, as JSON."""
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def markdown(result: dict[str, Any]) -> str:
    """A table that `read_results` gave, as Markdown that can be read as it is."""
    figures, published = result["figures"], result["published"]
    headings = ["method", ""]
    if published:
        headings.append(f"published {' / '.join(figures.values())}, %")
    headings += [f"{heading}, % (95 % interval)" for heading in figures.values()]
    # The last column, which has no heading, says what of.
    table = Table([*headings, "n", ""])
    for row in result["rows"]:
        cells = [row["name"], row["kind"]]
        if published:
            cells.append(_published_cell(row["published"]))
        measured = row["measured"] or {}
        cells += [_measured_cell(measured.get(figure), row["n"]) for figure in figures]
        table.add(*cells, row["n"], row["note"])
    said = "No published figures: they are of other data or another split."
    if published:
        said = f"Published: on {published}{_published_interval(result['published_n'])}."
    origin = f"Store: {result['source']}; split {result['split']}; {result['how']}."
    return f"# {result['title']}\n\n{origin}\n{said}\n\n{table.markdown()}\n"


def _published_cell(shares: dict[str, float | None] | None) -> str:
    # Papers give two places.
    return " / ".join(percent(share, 2) for share in shares.values()) if shares else "–"


def _measured_cell(figure: dict[str, float] | None, n: int) -> str:
    return "–" if figure is None else Accuracy.from_share(figure["mean"], n).cell


def _published_interval(tested: int | None) -> str:
    """How far published figures can be trusted: the interval is widest at a half."""
    if tested is None:
        return ""
    low, high = Accuracy(tested / 2, tested).interval
    return f", n = {tested}: ± {50 * (high - low):.1f} points at 95 %, or less"
