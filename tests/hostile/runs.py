"""Hostile run folders: their options, metrics and checkpoints; and results of tables."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import pathlib
import shutil

import jax
import numpy as np
from flax import nnx

from hostile import damage, made, sound, stores, target
from mgjax import training
from mgjax.evaluation.paper import TABLES
from mgjax.evaluation.study import Study
from mgjax.evaluation.study_results import markdown, read_results, to_json
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store
from mgjax.training.folder import RunFolder
from mgjax.training.run import Run

EPOCHS = 2


def small_run(store, **options) -> Run:
    """A run that takes a moment."""
    options = {
        "epochs": EPOCHS,
        "batch_size": 2,
        "learning_rate": 1e-2,
        "length_buckets": 1,
        "steps_per_call": 1,
        "checkpoint_seconds": 0.0,
    } | options
    return Run(
        model="usvae",
        options=USVAE.Config(units=2, decoder_units=2, latent_size=2),
        preparation=Preparation(),
        augmentation=Augmentation(),
        training=training.TrainOptions(**options),
        layout=store.layout,
        split="mine",
        classes=store.labels,
    )


def prepare(good):
    """A trained run with two checkpoints, and what a table's row was judged as."""
    stores.prepare(good)
    made(good / "run", lambda path: train(good / "store.h5", path))
    made(good / "results", lambda path: _write_results(good, path))
    weights_by_step(good)


def train(store_path, folder):
    """Train the small run in a folder."""
    with Store(store_path) as store:
        training.fit(small_run(store), store, folder, log=lambda line: None)


@functools.cache
def weights_by_step(good: pathlib.Path) -> dict[int, list[np.ndarray]]:
    """The model's arrays in each checkpoint of the good run."""
    with RunFolder(good / "run").checkpoints() as manager:
        steps = manager.all_steps()
    return {step: _weights(training.load_model(good / "run", step)[0]) for step in steps}


def _weights(model) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))]


def _load(good, folder) -> int:
    """Load a run's newest checkpoint: it is one of the good run's, to the bit. Gives its step."""
    model, _, step = training.load_model(folder)
    known = weights_by_step(good)
    sound.need(step in known, f"the checkpoint of step {step}, which there never was")
    same = [
        np.array_equal(one, other) and one.dtype == other.dtype
        for one, other in zip(_weights(model), known[step], strict=True)
    ]
    sound.need(all(same), f"step {step} loads as other weights")
    return step


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@target("checkpoint_bits", 0, prepare=prepare)
def checkpoint_bits(chance, folder, good):
    """One flipped bit in the newest checkpoint: refused, or the same weights or those before."""
    run = folder / "run"
    shutil.copytree(good / "run", run)
    files = [
        path
        for path in _files(run / "checkpoints" / str(max(weights_by_step(good))))
        if path.stat().st_size
    ]
    sizes = [path.stat().st_size for path in files]
    path = chance.choices(files, sizes)[0] if chance.random() < 0.5 else chance.choice(files)
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    _load(good, run)


@target("runs", 4, prepare=prepare)
def run_folder(chance, folder, good):
    """A run's folder in which run.json, metrics.jsonl or a checkpoint is spoilt."""
    run = folder / "run"
    way = chance.randrange(10)
    if way < 5:
        run.mkdir()
        options = json.loads((good / "run" / "run.json").read_text())
        damage.place(chance, run / "run.json", damage.json_of(chance, options))
        loaded = RunFolder(run).load()
        for group in (loaded.options, loaded.training, loaded.preparation, loaded.augmentation):
            sound.options(group)
        sound.layout(loaded.layout)
        sound.need(
            isinstance(loaded.split, str) and all(isinstance(name, str) for name in loaded.classes),
            "a split or class whose name is no text",
        )
        sound.need(Run.from_dict(loaded.to_dict()) == loaded, "it does not say itself again")
    elif way < 8:
        _metrics(chance, run, good)
    else:
        shutil.copytree(good / "run", run)
        _spoil_checkpoint(chance, run)
        whole = _load(good, run) == max(weights_by_step(good))
        # From the checkpoint before it would have to compile, for longer than a case may take.
        if whole and chance.random() < 0.2:
            with Store(good / "store.h5") as store:
                training.fit(small_run(store), store, run, log=lambda line: None)
            _load(good, run)


def _metrics(chance, run, good):
    run.mkdir()
    shutil.copy(good / "run" / "run.json", run)
    lines = (good / "run" / "metrics.jsonl").read_bytes().splitlines()
    if chance.random() < 0.5:
        spoilt = chance.randrange(len(lines))
        lines[spoilt] = damage.json_of(chance, json.loads(lines[spoilt]))
        data = b"\n".join(lines) + b"\n"
    else:
        data = damage.bytes_of(chance, b"\n".join(lines) + b"\n")
    damage.place(chance, run / "metrics.jsonl", data)
    kept = RunFolder(run).keep_metrics(10**6)
    for record in kept:
        for name in ("epoch", "step", "loss"):
            number = record.get(name)
            sound.need(
                type(number) in (int, float) and math.isfinite(number),
                f"{name} of {str(number)[:60]}",
            )
    sound.need(RunFolder(run).metrics() == kept, "the records that were kept are read as others")


def _spoil_checkpoint(chance, run):
    checkpoints = run / "checkpoints"
    path, way = chance.choice(_files(checkpoints)), chance.randrange(8)
    if way < 5:
        damaged = damage.bytes_of(chance, path.read_bytes())
        path.unlink()
        damage.place(chance, path, damaged)
    elif way == 5:
        path.unlink()
    elif way == 6:
        shutil.rmtree(chance.choice([path for path in checkpoints.rglob("*") if path.is_dir()]))
    else:
        place = checkpoints / chance.choice(
            ("7", "x", "99999999999999999999", "-1", "3.orbax-checkpoint-tmp-0", "٣")
        )
        chance.choice((place.mkdir, place.touch))()


# Results of tables


def _study(store, workdir):
    return Study(store, workdir, split="mine", emotion_split="videos")


def _write_results(good, path):
    """Results as judging leaves them: of a run by its neighbours, and of the emotion of videos."""
    path.mkdir()
    with Store(good / "store.h5") as store:
        study = _study(store, path)
        figures = {"top1": 0.5, "top5": 1.0, "mean_class_accuracy": 0.5, "macro_f1": 0.4, "n": 2}
        names = ("trained", "untrained", "prepared keypoints", "raw keypoints", "majority class")
        clips = {"origin": study.origin(), "epochs": EPOCHS, "rows": dict.fromkeys(names, figures)}
        row = {
            "name": "LSTM",
            "seed": 0,
            "accuracy": 0.5,
            "n": 1,
            "low": 0.1,
            "high": 0.9,
            "auc": None,
            "confusion": [[1, 0], [0, 0]],
        }
        videos = {
            "source": store.attributes["source"],
            "split": "videos",
            "options": {"folds": 0},
            "rows": [row, row | {"name": "bag of gestures"}, row | {"name": "majority"}],
        }
        videos |= {name: value for name, value in study.origin().items() if name not in videos}
    (path / "knn-1-cosine.json").write_text(json.dumps(clips))
    (path / "emotion.json").write_text(json.dumps(videos))


def _not_json(name):
    sound.need(False, f"{name} in the JSON")


@target("tables", 6, prepare=prepare)
def results(chance, folder, good):
    """Results of two seeds, of which one file is spoilt; what is accepted becomes a table."""
    number = chance.choice((2, 3, 4))
    name = "emotion.json" if number == 3 else "knn-1-cosine.json"
    folders = [folder / "usvae" / seed for seed in ("seed0", "seed1")]
    if number == 3:
        folders.append(folder / "tsm_lstm")
    spoilt = chance.choice(folders)
    spoils_run = chance.random() < 0.2 and spoilt.name.startswith("seed")
    for each in folders:
        each.mkdir(parents=True)
        data = (good / "results" / name).read_bytes()
        if each == spoilt and not spoils_run:
            data = damage.json_of(chance, json.loads(data))
        damage.place(chance, each / name, data)
        if each.name.startswith("seed"):
            options = json.loads((good / "run" / "run.json").read_text())
            options["training"]["seed"] = int(each.name[-1])
            data = json.dumps(options).encode()
            if each == spoilt and spoils_run:
                data = damage.json_of(chance, options)
            damage.place(chance, each / "run.json", data)
    with Store(good / "store.h5") as store:
        table = TABLES[number]
        result = read_results(table, _study(store, folder))
    text = markdown(result)
    sound.need("nan" not in text.lower() and "inf %" not in text, "a figure that is not finite")
    json.loads(to_json(result), parse_constant=_not_json)
    for row in result["rows"]:
        for figure, measured in (row["measured"] or {}).items():
            sound.need(
                all(0 <= measured[part] <= 1 for part in ("mean", "low", "high")),
                f"{figure} of {measured}",
            )


def option_classes():
    """Every dataclass of options."""
    from mgjax.evaluation.video_emotion import EmotionOptions
    from mgjax.models.emotion_lstm import EmotionLSTM

    kinds = (
        training.TrainOptions,
        Preparation,
        Augmentation,
        USVAE.Config,
        EmotionOptions,
        EmotionLSTM.Config,
    )
    assert all(map(dataclasses.is_dataclass, kinds))
    return kinds
