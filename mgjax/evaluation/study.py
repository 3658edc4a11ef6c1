"""Running the rows of the paper's tables: what is trained, and how it is judged.

`paper` says the rows; one that a model of `mgjax.models` gives becomes runnable when the model is
there. Everything measured lies in a working folder, out of which `study_results` reads it:

    <folder>/seed<k>/                        a run (see `training.folder`); rows that share a run
                                             share the folder
    <folder>/seed<k>/knn-1-cosine.json       its clips judged by their nearest neighbour, with the
                                             controls
    <folder>/seed<k>/logits.json             a classifier's
    <folder>/seed<k>/emotion.json            the emotion of videos from the run's clip vectors
    <row>/emotion.json                       the same from vectors made elsewhere

Judged is the last checkpoint, and nothing here looks at a test label to choose anything.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mgjax import files, models
from mgjax.blocks import Blocks
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors, knn_probe, video_emotion
from mgjax.evaluation.embedding import logits_of_clips
from mgjax.evaluation.knn import Metric
from mgjax.evaluation.metrics import Classification, classification
from mgjax.evaluation.paper import PUBLISHED_ON, Method, PaperTable
from mgjax.store import Store
from mgjax.training import Run, RunFolder, fit, load_model


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
    metric: Metric = "cosine"

    @property
    def source(self) -> str:
        """Where the store's data came from, a sentence."""
        return self.store.attributes["source"]

    def check(self, table: PaperTable) -> None:
        """Raise InputError where the store lacks what the table is measured on."""
        # Asking for a split that is not there is the error.
        self.store.split(self.split)
        if table.videos:
            self.store.split(self.emotion_split)

    def published(self, table: PaperTable) -> str | None:
        """Whose published figures may stand beside what is measured, if any's."""
        split = self.emotion_split if table.videos else self.split
        for (source, of), whose in PUBLISHED_ON.items():
            # "iMiGUE, 359 videos" is iMiGUE's, "iMiGUE-3K" is not.
            begins = re.match(re.escape(source) + r"(?![\w-])", self.source)
            if split == of and begins:
                return whose
        return None

    def result(self, table: PaperTable, row: Method) -> str:
        """The name of the file that holds a row's result."""
        if table.videos:
            return "emotion.json"
        if is_classifier(row.model):
            return "logits.json"
        feature = f"-{row.feature}" if row.feature else ""
        return f"knn-{self.k}-{self.metric}{feature}.json"

    def origin(self) -> dict[str, Any]:
        """What a result must be of to be this study's."""
        store = self.store
        return {
            "source": self.source,
            "layout": store.layout.name,
            "frames": store.frame_count,
            "clips": len(store.clips),
            "split": self.split,
            "store": store.fingerprint,
        }


def is_classifier(model: str) -> bool:
    """Whether a model gives logits; any other is judged by its encoder."""
    return hasattr(models.get(model), "logits")


def is_built(row: Method) -> bool:
    """Whether the model that gives a row is there."""
    return row.model in models.MODELS


def missing(row: Method) -> str:
    """Why a row has no figure of our own yet."""
    if row.reference:
        return "for reference"
    if not row.model:
        return f"not imported: no {row.key}/emotion.json"
    return "not run" if is_built(row) else "not built yet"


def run_rows(
    table: PaperTable,
    study: Study,
    run_of: Callable[[str], Run],
    keys: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    log: Callable[[str], None] = print,
) -> int:
    """Train and judge what a table's rows still lack; what is finished is left as it is.

    Args:
        table: one of `paper.TABLES`.
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
            run = _run_of_row(row, run_of(row.model), seed)
            folder.mkdir(parents=True, exist_ok=True)
            # Refused where another run is there: rows that share a folder share the run.
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
            judge = _judge_videos if table.videos else _judge_clips
            files.write_json(result, judge(row, study, folder))
    return 0


def _run_of_row(row: Method, run: Run, seed: int) -> Run:
    # What makes the row wins over the recipe and the command line.
    options = dataclasses.replace(run.options, **row.changes)
    training = dataclasses.replace(run.training, seed=seed)
    return dataclasses.replace(run, options=options, training=training)


def _chosen(table: PaperTable, keys: Sequence[str]) -> list[Method]:
    """The rows to run, in the table's order."""
    rows = {row.key: row for row in table.rows}
    for key in keys:
        if key not in rows:
            raise InputError(f"table {table.number} has no row {key!r}; it has: {', '.join(rows)}")
        if not is_built(rows[key]):
            raise InputError(
                f"row {key!r} of table {table.number} cannot be run: {missing(rows[key])}"
            )
    return [row for row in table.rows if (row.key in keys if keys else is_built(row))]


def _judge_videos(row: Method, study: Study, folder: pathlib.Path) -> dict[str, Any]:
    """What the vectors of a trained run say about the emotion of videos."""
    vectors_of = functools.partial(clip_vectors.run_vectors, folder, study.store)
    return video_emotion.judge(study.store, study.emotion_split, vectors_of)


def _judge_clips(row: Method, study: Study, folder: pathlib.Path) -> dict[str, Any]:
    """How well a trained run recognises clips."""
    if is_classifier(row.model):
        judged = judge_classifier(folder, study.store, study.split)
    else:
        judged = knn_probe.probe_run(
            folder, study.store, study.split, k=study.k, metric=study.metric, feature=row.feature
        ).rows
    # Confusion matrices stay out: a table needs none.
    rows = {}
    for name, metrics in judged.items():
        values: dict[str, Any] = {**metrics}
        figures = {figure: values[figure] for figure in knn_probe.FIGURES}
        rows[name] = figures | {"n": metrics["n_test"]}
    epochs = len(RunFolder(folder).metrics())
    return {"origin": study.origin(), "epochs": epochs, "rows": rows}


def judge_classifier(
    folder: str | os.PathLike, store: Store, split: str
) -> dict[str, Classification]:
    """A trained classifier and the majority class on the test clips of a split:
    `metrics.classification` of each.

    Raises:
        InputError: run, store and split do not fit together, or the model has no `logits`.
    """
    model, run, _ = load_model(folder)
    run.check_store(store)
    train, test = knn_probe.labelled_split(store, split)
    logits = logits_of_clips(model, Blocks(store, test), test, run.preparation, run.layout)
    # Of equal logits the lower class comes first.
    ranking = np.argsort(-logits, axis=1, kind="stable")
    labels, classes = store.clips.label, len(store.labels)
    return {
        "trained": classification(labels[test], ranking, classes),
        "majority class": knn_probe.majority(labels[train], labels[test], classes),
    }
