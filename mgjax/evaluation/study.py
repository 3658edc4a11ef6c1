"""The tables of the iMiGUE paper: what it published beside what was measured here.

A table is a list of rows, said once below. A row that a model of `mgjax.models` gives names the
model and the options that make it this row; it becomes runnable when the model is there.
Everything measured lies in a working folder:

    <folder>/seed<k>/                        a run (see `training.run`); rows that share a run
                                             share the folder
    <folder>/seed<k>/knn-1-cosine.json       its clips judged by their nearest neighbour, with the
                                             controls
    <folder>/seed<k>/logits.json             a classifier's
    <folder>/seed<k>/emotion.json            the emotion of videos from the run's clip vectors
    <row>/emotion.json                       the same from vectors made elsewhere

Judged is the last checkpoint, and nothing here looks at a test label to choose anything.
Published figures are only shown beside the store and split that they are of; what is measured on
a simulation is called simulated.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import re
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from mgjax import files, models, protocols
from mgjax.batching import Blocks
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors, knn_probe, video_emotion
from mgjax.evaluation.embedding import logits_of_clips
from mgjax.evaluation.metrics import classification
from mgjax.report.accuracy import wilson_interval
from mgjax.store import Store
from mgjax.training import Run, fit, load_model
from mgjax.training.folder import RunFolder

IMIGUE, NTU_VIEW, NTU_SUBJECT = "iMiGUE", "NTU RGB+D 60, C-View", "NTU RGB+D 60, C-Sub"
# What a store's source begins with, and a split: whose published figures may stand beside what is
# measured on it.
PUBLISHED_ON = {
    ("iMiGUE", "imigue_cross_subject"): IMIGUE,
    ("iMiGUE", "imigue_emotion"): IMIGUE,
    ("NTU RGB+D", "cross_view"): NTU_VIEW,
    ("NTU RGB+D", "cross_subject"): NTU_SUBJECT,
}
# What is judged beside a run and does not depend on its seed.
SEEDLESS = ("prepared keypoints", "raw keypoints", "majority class", "majority")


@dataclasses.dataclass(frozen=True)
class Row:
    """One method of a table.

    Attributes:
        key: the row's name on the command line.
        name, kind: as printed.
        published: figures in per cent, in the order of the table's, by whose they are.
        model: name in `mgjax.models` of the model that gives the row; "" where none will.
        folder: of its runs, in the working folder; by default the key.
        changes: options of the model that make it this row.
        feature: what to take from the encoder; None takes the run's own choice.
        judged: which of the things that were judged with the run the row is.
        reference: the figure was published and is not to be measured here.
    """

    key: str
    name: str
    kind: str
    published: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    model: str = ""
    folder: str = ""
    changes: dict = dataclasses.field(default_factory=dict)
    feature: str | None = None
    judged: str = "trained"
    reference: bool = False

    @property
    def runs(self) -> str:
        """The folder of its runs."""
        return self.folder or self.key


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its figures, name to heading; its rows; how many were tested for the published
    ones; and whether it judges videos, not clips."""

    number: int
    title: str
    figures: dict[str, str]
    rows: tuple[Row, ...]
    tested: dict[str, int]
    videos: bool = False


def _recognition(key, name, kind, top1, top5=None, **more) -> Row:
    return Row(key, name, kind, {IMIGUE: (top1, top5)}, **more)


_SUPERVISED, _UNSUPERVISED, _RGB, _RGBD = (
    "supervised, pose",
    "unsupervised, pose",
    "RGB",
    "unsupervised, RGB-D",
)
_LATER, _CONTROL = "supervised, pose, later work", "control"
_LAYER = {"model": "usvae", "folder": "usvae", "changes": {"layers": 1}}
_CONTROLS = (
    Row("untrained", "U-S-VAE's encoder, untrained", _CONTROL, judged="untrained", **_LAYER),
    Row(
        "prepared_keypoints",
        "prepared keypoints, no encoder",
        _CONTROL,
        judged="prepared keypoints",
        **_LAYER,
    ),
    Row("raw_keypoints", "raw keypoints, no encoder", _CONTROL, judged="raw keypoints", **_LAYER),
    Row("majority", "majority class", _CONTROL, judged="majority class", **_LAYER),
)

# fmt: off
TABLES = {table.number: table for table in (
    Table(2, "micro-gesture recognition", {"top1": "top-1", "top5": "top-5"}, (
        _recognition("svae", "S-VAE", _SUPERVISED, 27.38, 60.44, model="svae"),
        _recognition("lstm", "LSTM", _SUPERVISED, 32.36, 72.93, model="lstm"),
        _recognition("blstm", "BLSTM", _SUPERVISED, 32.39, 71.34, model="blstm"),
        _recognition("stgcn", "ST-GCN", _SUPERVISED, 46.97, 84.09, model="stgcn"),
        _recognition("agcn", "2s-AGCN (2S-GCN)", _SUPERVISED, 47.78, 88.43, model="agcn"),
        _recognition("shiftgcn", "Shift-GCN", _SUPERVISED, 51.51, 88.18, model="shiftgcn"),
        _recognition("gcnnas", "GCN-NAS", _SUPERVISED, 53.90, 89.21, model="gcnnas"),
        _recognition("msg3d", "MS-G3D", _SUPERVISED, 54.91, 89.98, model="msg3d"),
        _recognition("c3d", "C3D", _RGB, 20.32, 55.31, reference=True),
        _recognition("r3d", "R3D-101", _RGB, 25.27, 59.39, reference=True),
        _recognition("i3d", "I3D", _RGB, 34.96, 63.69, reference=True),
        _recognition("tsn", "TSN", _RGB, 51.54, 85.42, reference=True),
        _recognition("trn", "TRN", _RGB, 55.24, 89.17, reference=True),
        _recognition("tsm", "TSM", _RGB, 61.10, 91.24, reference=True),
        _recognition("predict_cluster", "P&C", _UNSUPERVISED, 31.67, 64.93, model="predict_cluster"),
        _recognition("usvae", "U-S-VAE, Z", _UNSUPERVISED, 32.43, 64.30, **_LAYER),
        _recognition("posec3d_semantic", "PoseC3D, semantic loss", _LATER, 64.12, reference=True),
        _recognition("posec3d", "PoseC3D, 41 joints", _LATER, 67.01, reference=True),
        _recognition("mamp", "MAMP, fine-tuned, 46 joints", _LATER, 70.19, reference=True),
        *_CONTROLS,
    ), {IMIGUE: protocols.IMIGUE_SPLIT_CLIPS[1]}),
    Table(3, "emotion of a video", {"accuracy": "accuracy"}, (
        Row("trn", "TRN", _RGB, {IMIGUE: (53.0,)}, reference=True),
        Row("tsm", "TSM", _RGB, {IMIGUE: (53.0,)}, reference=True),
        Row("i3d", "I3D", _RGB, {IMIGUE: (57.0,)}, reference=True),
        Row("stgcn", "ST-GCN", "pose", {IMIGUE: (50.0,)}, reference=True),
        Row("msg3d", "MS-G3D", "pose", {IMIGUE: (55.0,)}, reference=True),
        Row("usvae_lstm", "U-S-VAE + LSTM", "micro-gestures, pose", {IMIGUE: (55.0,)}, judged="LSTM", **_LAYER),
        Row("tsm_lstm", "TSM + LSTM", "micro-gestures, RGB", {IMIGUE: (60.0,)}, judged="LSTM"),
        Row("labels_lstm", "true gesture labels + LSTM", _CONTROL, judged="LSTM"),
        Row("bag", "bag of gestures, U-S-VAE", _CONTROL, judged="bag of gestures", **_LAYER),
        Row("majority", "majority class", _CONTROL, judged="majority", **_LAYER),
    ), {IMIGUE: len(protocols.IMIGUE_EMOTION_TEST)}, videos=True),
    Table(4, "ablation of U-S-VAE", {"top1": "top-1"}, (
        Row("shuffle_learn", "Shuffle & Learn", _RGBD, {NTU_VIEW: (40.90,), NTU_SUBJECT: (46.20,)}, reference=True),
        Row("luo", "Luo et al.", _RGBD, {NTU_VIEW: (53.20,), NTU_SUBJECT: (61.40,)}, reference=True),
        Row("li", "Li et al.", _RGBD, {NTU_VIEW: (63.90,), NTU_SUBJECT: (68.10,)}, reference=True),
        Row("longt_gan", "LongT GAN", _UNSUPERVISED, {NTU_VIEW: (48.10,), NTU_SUBJECT: (39.10,)}, reference=True),
        Row("predict_cluster", "P&C", _UNSUPERVISED,
            {IMIGUE: (31.67,), NTU_VIEW: (76.10,), NTU_SUBJECT: (50.70,)}, model="predict_cluster"),
        Row("usvae_3l", "U-S-VAE, 3 layers", _UNSUPERVISED,
            {IMIGUE: (30.85,), NTU_VIEW: (25.46,), NTU_SUBJECT: (22.50,)}, model="usvae", changes={"layers": 3}),
        Row("usvae_2l", "U-S-VAE, 2 layers", _UNSUPERVISED,
            {IMIGUE: (30.30,), NTU_VIEW: (55.13,), NTU_SUBJECT: (37.03,)}, model="usvae", changes={"layers": 2}),
        Row("usvae_cell", "U-S-VAE, 1 layer, cell state C", _UNSUPERVISED,
            {IMIGUE: (32.04,), NTU_VIEW: (44.57,), NTU_SUBJECT: (36.11,)}, feature="cell", **_LAYER),
        Row("usvae", "U-S-VAE, 1 layer", _UNSUPERVISED,
            {IMIGUE: (32.43,), NTU_VIEW: (64.88,), NTU_SUBJECT: (50.96,)}, **_LAYER),
        *_CONTROLS,
    ), {IMIGUE: protocols.IMIGUE_SPLIT_CLIPS[1]}),
)}
# fmt: on


@dataclasses.dataclass(frozen=True)
class Study:
    """On what, and how, the rows of tables are measured.

    Attributes:
        store: an opened store.
        workdir: the folder that holds, or gets, the runs and results.
        split: the store's split of clips: what a run is trained on and, in Tables 2 and 4, tested
            on.
        emotion_split: the split of videos of Table 3.
        k, metric: of the nearest neighbours' vote.
    """

    store: Store
    workdir: pathlib.Path
    split: str = "imigue_cross_subject"
    emotion_split: str = "imigue_emotion"
    k: int = 1
    metric: str = "cosine"

    def check(self, table: Table):
        """Raise InputError where the store lacks what the table is measured on."""
        self.store.split(self.split)
        if table.videos:
            self.store.split(self.emotion_split)

    def published(self, table: Table) -> str | None:
        """Whose published figures may stand beside what is measured, if any's."""
        split = self.emotion_split if table.videos else self.split
        for (source, of), whose in PUBLISHED_ON.items():
            if split == of and re.match(
                re.escape(source) + r"(?![\w-])", self.store.attributes["source"]
            ):
                return whose
        return None

    def result(self, table: Table, row: Row) -> str:
        """The name of the file that holds a row's result."""
        if table.videos:
            return "emotion.json"
        if is_classifier(row.model):
            return "logits.json"
        return f"knn-{self.k}-{self.metric}{f'-{row.feature}' if row.feature else ''}.json"

    def origin(self) -> dict:
        """What a result must be of to be this study's."""
        store = self.store
        return {
            "source": store.attributes["source"],
            "layout": store.layout.name,
            "frames": store.frame_count,
            "clips": len(store.clips),
            "split": self.split,
            "store": store.fingerprint,
        }


def is_classifier(model: str) -> bool:
    """Whether a model gives logits; any other is judged by its encoder."""
    return hasattr(models.get(model), "logits")


def missing(row: Row) -> str:
    """Why a row has no figure of our own yet."""
    if row.reference:
        return "for reference"
    if not row.model:
        return f"not imported: no {row.key}/emotion.json"
    return "not run" if row.model in models.MODELS else "not built yet"


def run_rows(
    table: Table,
    study: Study,
    run_of: Callable[[str], Run],
    keys: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    log: Callable[[str], None] = print,
) -> int:
    """Train and judge what a table's rows still lack; what is finished is left as it is.

    Args:
        table: one of `TABLES`.
        study: on what and how.
        run_of: gives the run of a model by name; the rows change its options, and its seed is set.
        keys: rows by key; none of them means every row whose model is there.
        seeds: seeds to train every row with.
        log: gets a line now and then.

    Returns:
        0 when all is done, otherwise the number of the signal that stopped a training; calling
        again goes on.

    Raises:
        InputError: a row is not of this table or cannot be run, its folder holds a run with other
            options, or store and split do not fit.
    """
    rows = _chosen(table, keys)
    study.check(table)
    for row in rows:
        for seed in seeds:
            folder = study.workdir / row.runs / f"seed{seed}"
            run = run_of(row.model)
            run = dataclasses.replace(
                run,
                options=dataclasses.replace(run.options, **row.changes),
                training=dataclasses.replace(run.training, seed=seed),
            )
            folder.mkdir(parents=True, exist_ok=True)
            RunFolder(folder).claim(run)
            result = folder / study.result(table, row)
            if result.exists():
                continue
            log(f"{row.name}, seed {seed}: {folder}")
            # Any result says that training had ended; one that stopped early would otherwise be
            # compiled again.
            finished = any(path.name != "run.json" for path in folder.glob("*.json"))
            stopped = 0 if finished else fit(run, study.store, folder, log)
            if stopped:
                return stopped
            found = (_judge_videos if table.videos else _judge_clips)(row, study, folder)
            files.write_json(result, found)
    return 0


def _chosen(table: Table, keys: Sequence[str]) -> list[Row]:
    rows = {row.key: row for row in table.rows}
    for key in keys:
        if key not in rows:
            raise InputError(f"table {table.number} has no row {key!r}; it has: {', '.join(rows)}")
        if rows[key].model not in models.MODELS:
            raise InputError(
                f"row {key!r} of table {table.number} cannot be run: {missing(rows[key])}"
            )
    return [row for row in table.rows if (row.key in keys if keys else row.model in models.MODELS)]


def _judge_videos(row: Row, study: Study, folder: pathlib.Path) -> dict:
    """What the vectors of a trained run say about the emotion of videos."""
    vectors_of = functools.partial(clip_vectors.run_vectors, folder, study.store)
    return video_emotion.judge(study.store, study.emotion_split, vectors_of)


def _judge_clips(row: Row, study: Study, folder: pathlib.Path) -> dict:
    """How well a trained run recognises clips."""
    if is_classifier(row.model):
        judged = judge_classifier(folder, study.store, study.split)
    else:
        judged = knn_probe.probe_run(
            folder, study.store, study.split, k=study.k, metric=study.metric, feature=row.feature
        ).rows
    return {
        "origin": study.origin(),
        "epochs": len(RunFolder(folder).metrics()),
        "rows": {
            name: {
                figure: metrics[figure]
                for figure in ("top1", "top5", "mean_class_accuracy", "macro_f1")
            }
            | {"n": metrics["n_test"]}
            for name, metrics in judged.items()
        },
    }


def judge_classifier(folder: str | os.PathLike, store: Store, split: str) -> dict[str, dict]:
    """A trained classifier and the majority class on the test clips of a split:
    `metrics.classification` of each.
    """
    model, run, _ = load_model(folder)
    run.check_store(store)
    train, test = knn_probe.labelled_split(store, split)
    logits = logits_of_clips(model, Blocks(store, test), test, run.preparation, run.layout)
    labels, classes = store.clips.label, len(store.labels)
    ranking = np.argsort(-logits, axis=1, kind="stable")
    return {
        "trained": classification(labels[test], ranking, classes),
        "majority class": knn_probe.majority(labels[train], labels[test], classes),
    }


def read_table(table: Table, study: Study) -> dict:
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
    whose, source = study.published(table), study.store.attributes["source"]
    simulated = " (simulated data)" if source.startswith("simulated") else ""
    return {
        "table": table.number,
        "title": f"Table {table.number}: {table.title}{simulated}",
        "source": source,
        "split": study.emotion_split if table.videos else study.split,
        "published": whose,
        "published_n": table.tested.get(whose),
        "figures": table.figures,
        "how": f"runs are trained on split {study.split}; seeds are the run's and, after the "
        "stroke, the "
        "LSTM's"
        if table.videos
        else f"encoders are judged by {study.k}-nearest-neighbour, {study.metric} distance, after "
        "their last epoch",
        "rows": [
            _read_row(table, row, study, whose) for row in table.rows if whose or not row.reference
        ],
    }


def _read_row(table: Table, row: Row, study: Study, whose: str | None) -> dict:
    each = _results(table, row, study)
    measured = {}
    for figure in table.figures if each else ():
        values = [one[figure] for one in each]
        if None not in values:
            mean = statistics.fmean(values)
            low, high = wilson_interval(mean * each[0]["n"], each[0]["n"])
            measured[figure] = {"mean": mean, "low": low, "high": high}
    published = row.published.get(whose)
    return {
        "key": row.key,
        "name": row.name,
        "kind": row.kind,
        "published": published
        and {
            figure: value and round(value / 100, 4)
            for figure, value in zip(table.figures, published)
        },
        "measured": measured or None,
        "n": each[0]["n"] if each else None,
        "each": each,
        "note": _seeds(table, row, each) if each else missing(row),
    }


def _seeds(table: Table, row: Row, each: list[dict]) -> str:
    """Which seeds a row's figure is of, what each had, and how long they were trained."""
    if row.judged in SEEDLESS:
        return ""
    seeds = ", ".join(one["seed"] for one in each)
    note = f"seed {seeds}"
    if len(each) > 1:
        values = (" / ".join(_percent(one[figure]) for figure in table.figures) for one in each)
        note = f"mean of seeds {seeds}: {', '.join(values)}"
    epochs = sorted({one["epochs"] for one in each if "epochs" in one})
    if row.judged == "untrained" or not epochs:
        return note
    return f"{note}; epochs: {' to '.join(map(str, sorted({epochs[0], epochs[-1]})))}"


def _results(table: Table, row: Row, study: Study) -> list[dict]:
    """The figures of a row that has been judged, one entry a seed; one in all where the seed
    changes nothing.
    """
    if row.reference or row.model not in ("", *models.MODELS):
        return []
    if not row.model:
        path = study.workdir / row.key / "emotion.json"
        return _read_emotion(path, row, study) if path.is_file() else []
    folders = sorted(
        (study.workdir / row.runs).glob("seed[0-9]*"),
        key=lambda folder: (len(folder.name), folder.name),
    )
    paths = [path for folder in folders if (path := folder / study.result(table, row)).is_file()]
    _check_alike([path.parent for path in paths])
    if row.judged in SEEDLESS:
        paths = paths[:1]
    read = _read_emotion if table.videos else _read_recognition
    return [one for path in paths for one in read(path, row, study)]


def _check_alike(folders: list[pathlib.Path]):
    """Raise InputError where runs differ by more than their seed, for then their mean says
    nothing.
    """
    runs = [RunFolder(folder).load() for folder in folders]
    alike = lambda run: dataclasses.replace(
        run, training=dataclasses.replace(run.training, seed=0, checkpoint_seconds=0.0)
    )
    for folder, run in zip(folders, runs):
        if alike(run) != alike(runs[0]):
            raise InputError(
                f"{folder}: this run and {folders[0]} have other options beside their seeds"
            )


def _read(path: pathlib.Path, take: Callable):
    expected = "a result of this version of mgjax; without this file the row can be judged again"
    found = files.read_json(path, expected)
    try:
        return take(found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(f"{path}: damaged; expected {expected}") from None


def _figures(found: dict, needed: Sequence[str]) -> dict:
    """The figures of a result, the needed ones and n, how many were tested, among them: shares
    in [0, 1] or None.
    """
    missing = {*needed, "n"} - set(found)
    if missing:
        raise KeyError(*missing)
    for name, value in found.items():
        if name == "n":
            good = type(value) is int and 1 <= value < 2**31
        else:
            good = value is None or (type(value) in (int, float) and 0 <= value <= 1)
        if not good:
            raise ValueError
    return found


def _check_origin(path: pathlib.Path, found: dict, wanted: dict):
    for name, value in wanted.items():
        if name == "store" and name not in found:  # a result of an earlier version
            continue
        if found.get(name) != value:
            raise InputError(
                f"{path}: a result of {name} {found.get(name)!r}, not {value!r}; "
                "every store and split "
                "needs a working folder of its own"
            )


def _read_recognition(path, row, study) -> list[dict]:
    origin, epochs, figures = _read(
        path,
        lambda found: (
            dict(found["origin"]),
            int(found["epochs"]),
            _figures(found["rows"][row.judged], ("top1", "top5")),
        ),
    )
    _check_origin(path, origin, study.origin())
    return [{"seed": path.parent.name.removeprefix("seed"), "epochs": epochs} | figures]


def _read_emotion(path, row, study) -> list[dict]:
    """Figures out of what `video_emotion.judge` found; a seed is the run's and the LSTM's, where there
    are such.
    """
    origin, rows = _read(
        path,
        lambda found: (
            {name: found[name] for name in ("source", "split", "store") if name in found}
            | {"folds": found["options"]["folds"]},
            [
                {"seed": one.get("seed")}
                | _figures({name: one[name] for name in ("accuracy", "auc", "n")}, ())
                for one in found["rows"]
                if one["name"] == row.judged
            ],
        ),
    )
    _check_origin(
        path,
        origin,
        {
            "source": study.store.attributes["source"],
            "split": study.emotion_split,
            "folds": 0,
            "store": study.store.fingerprint,
        },
    )
    of_run = [path.parent.name.removeprefix("seed")] if row.model else []
    for one in rows:
        one["seed"] = "/".join(of_run + ([str(one["seed"])] if one["seed"] is not None else []))
    return rows


def to_json(result: dict) -> str:
    """A table that `read_table` gave, as JSON."""
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def markdown(result: dict) -> str:
    """A table that `read_table` gave, as Markdown that can be read as it is."""
    figures, published = result["figures"], result["published"]
    heads = [
        "method",
        "",
        *([f"published {' / '.join(figures.values())}, %"] if published else []),
        *(f"{heading}, % (95 % interval)" for heading in figures.values()),
        "n",
        "",
    ]
    cells = [heads, ["---"] * len(heads)]
    for row in result["rows"]:
        said = (
            " / ".join(_percent(value, 2) for value in row["published"].values())
            if row["published"]
            else "–"
        )
        cells.append(
            [
                row["name"],
                row["kind"],
                *([said] if published else []),
                *(_interval((row["measured"] or {}).get(figure)) for figure in figures),
                str(row["n"] or "–"),
                row["note"],
            ]
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    lines = [
        f"# {result['title']}",
        "",
        f"Store: {result['source']}; split {result['split']}; {result['how']}.",
    ]
    if published:
        lines.append(
            f"Published: on {published}" + _published_interval(result["published_n"]) + "."
        )
    else:
        lines.append("No published figures: they are of other data or another split.")
    lines.append("")
    for line in cells:
        fill = "-" if line[0] == "---" else " "
        lines.append(
            "| " + " | ".join(cell.ljust(width, fill) for cell, width in zip(line, widths)) + " |"
        )
    return "\n".join(lines) + "\n"


def _published_interval(tested: int | None) -> str:
    if tested is None:
        return ""
    low, high = wilson_interval(tested / 2, tested)
    return f", n = {tested}: ± {50 * (high - low):.1f} points at 95 %, or less"


def _percent(share: float | None, places: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{places}f}"


def _interval(figure: dict | None) -> str:
    return (
        "–"
        if figure is None
        else (
            f"{_percent(figure['mean'])} ({_percent(figure['low'])} – {_percent(figure['high'])})"
        )
    )
