"""Small studies: a store, runs of it, and results as a study leaves them."""

import json

import numpy as np

from mgjax import skeleton
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store
from mgjax.store_writer import StoreWriter
from mgjax.training import Run, TrainOptions
from mgjax.training.folder import RunFolder

CLASSES = tuple("abcdefg")


def make_store(path, source="nobody", split="mine"):
    """Two videos of seven clips each, one clip a class; the first trains."""
    rng = np.random.default_rng(0)
    with StoreWriter(
        path, skeleton.KINECT_20, unit="metre", frames=140, source=source, labels=CLASSES
    ) as writer:
        for video in ("one", "two"):
            writer.add_video(video, rng.normal(size=(70, 20, 3)), np.ones((70, 20)))
            for label in range(7):
                writer.add_clip(video, 10 * label, 10, label)
        writer.add_split(split, [0], [1], of="videos")
    return Store(path)


def a_run(study, seed=0, epochs=1, model="usvae", options=None):
    options = options or USVAE.Config(units=4, decoder_units=4)
    training = TrainOptions(epochs=epochs, seed=seed, batch_size=8, length_buckets=1)
    return Run(
        model=model,
        options=options,
        preparation=Preparation(),
        augmentation=Augmentation(),
        training=training,
        layout=study.store.layout,
        split="mine",
        classes=CLASSES,
    )


def put_result(study, folder, seed, name="knn-1-cosine.json", epochs=3, origin=None, **rows):
    """A finished run's folder with a result; rows name what was judged to (top1, top5); controls
    have (0.2, 0.5).
    """
    place = study.workdir / folder / f"seed{seed}"
    RunFolder(place).claim(a_run(study, seed))
    rows = (
        dict.fromkeys(
            ("untrained", "prepared_keypoints", "raw_keypoints", "majority_class"), (0.2, 0.5)
        )
        | rows
    )
    (place / name).write_text(
        json.dumps(
            {
                "origin": origin or study.origin(),
                "epochs": epochs,
                "rows": {
                    judged.replace("_", " "): {"top1": top1, "top5": top5, "n": 100}
                    for judged, (top1, top5) in rows.items()
                },
            }
        )
    )


def row(result, key):
    return next(row for row in result["rows"] if row["key"] == key)


def put_emotion(study, folder, accuracies, **changes):
    """What the emotion of 100 videos was judged to be, with LSTMs of so many accuracies."""
    rows = [("LSTM", seed, accuracy) for seed, accuracy in enumerate(accuracies)]
    rows += [("LSTM, mean", None, 0.9), ("bag of gestures", None, 0.6), ("majority", None, 0.5)]
    (study.workdir / folder).mkdir(parents=True, exist_ok=True)
    (study.workdir / folder / "emotion.json").write_text(
        json.dumps(
            {
                "source": "nobody",
                "split": "mine",
                "options": {"folds": 0},
                "rows": [
                    {"name": name, "accuracy": accuracy, "n": 100, "auc": 0.5}
                    | ({} if seed is None else {"seed": seed})
                    for name, seed, accuracy in rows
                ],
            }
            | changes
        )
    )
