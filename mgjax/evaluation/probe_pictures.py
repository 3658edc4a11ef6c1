"""Pictures of a probed run: losses, confusion, a map of embeddings, a re-generated clip."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from mgjax.batching import gather
from mgjax.blocks import Frames
from mgjax.errors import InputError
from mgjax.evaluation.embedding import prepared_batch
from mgjax.evaluation.knn_probe import ProbeResult, labelled_split
from mgjax.evaluation.metrics import top1_accuracy
from mgjax.report import animations, embedding_map, figures
from mgjax.store import Store
from mgjax.training import Run, load_model
from mgjax.training.folder import RunFolder
from mgjax.transforms import one_sided

# What `draw_probe` draws.
PICTURES = ("loss.png", "confusion.png", "embeddings.png", "reconstruction.gif")
# What a record of metrics.jsonl holds beside the losses.
CLOCKS = ("epoch", "step", "learning_rate", "frames_per_second", "seconds")
# Frames a second of a video that does not say its own.
USUAL_FPS = 25.0


def draw_probe(
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
    such as a map of four clips, is left out.

    Args:
        result: what `knn_probe.probe_run` found.
        folder, store, split: of the probe.
        pictures: the folder to draw into, made if it is not there.
        log: is told why a picture is left out.

    Returns:
        the pictures' paths.

    Raises:
        InputError: none can be drawn.
    """
    pictures = pathlib.Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    model, run, _ = load_model(folder, result.summary["step"])
    album = _Album(result, RunFolder(folder), model, run, store, split)
    drawn, problems = [], []
    ways = (album.loss, album.confusion, album.embeddings, album.reconstruction)
    for name, draw in zip(PICTURES, ways):
        try:
            drawn.append(draw(pictures / name))
        except InputError as error:
            problems.append(error)
            log(f"no {name}: {error}")
    if not drawn:
        raise problems[-1]
    return drawn


class Reconstruction(NamedTuple):
    """A clip as a model reads it and as it re-generates it.

    Attributes:
        original, regenerated: keypoints `[T, V, C]`.
        score: `[T, V]`, of the original.
    """

    original: np.ndarray
    regenerated: np.ndarray
    score: np.ndarray


def reconstruct_clip(model: Any, run: Run, store: Store, row: int) -> Reconstruction:
    """Re-generate a clip of a store, by its row."""
    keypoints, score = store.clip(row)
    start, length = jnp.array([0]), jnp.array([len(keypoints)])
    label = jnp.array([store.clips.label[row]])
    # This clip and no other.
    frames = Frames(jnp.asarray(keypoints), jnp.asarray(score), start, length, label)
    steps = int(run.preparation.lengths(len(keypoints)))
    batch = prepared_batch(frames, start, steps, run.preparation, run.layout)
    # Preparation keeps no score; a resampled clip's is gathered as its keypoints were.
    _, resampled_score, _, _ = gather(frames, start, steps, run.preparation.resampling)
    original = batch.inputs
    # What the decoder was trained to re-generate.
    if run.augmentation.denoise and run.augmentation.mirror:
        original = one_sided(original, run.layout)
    read, regenerated = (
        np.asarray(run.preparation.drawable(each[0], run.layout))
        for each in (original, model.reconstruct(batch))
    )
    return Reconstruction(read, regenerated, np.asarray(resampled_score[0]))


@dataclasses.dataclass(frozen=True)
class _Album:
    """The pictures, each a method of the path to draw at."""

    result: ProbeResult
    folder: RunFolder
    model: Any
    run: Run
    store: Store
    split: str

    def loss(self, path: pathlib.Path) -> pathlib.Path:
        records = self.folder.metrics()
        names = [name for name in (records[0] if records else ()) if name not in CLOCKS]
        return figures.loss_curves(path, records, names)

    def confusion(self, path: pathlib.Path) -> pathlib.Path:
        trained = self.result.rows["trained"]
        accuracy = top1_accuracy(trained)
        title = f"{self.run.model}, {self.split}: top-1 {accuracy.percent} % of n = {accuracy.n}"
        matrix, classes = trained["confusion"], self.result.classes
        return figures.confusion_matrix(path, matrix, classes, title)

    def embeddings(self, path: pathlib.Path) -> pathlib.Path:
        labels = self.result.test_labels
        title = f"{self.run.model} embeddings of {len(labels)} test clips"
        return embedding_map.embedding_map(
            path, self.result.test_embeddings, labels, self.result.classes, title
        )

    def reconstruction(self, path: pathlib.Path) -> pathlib.Path:
        if not hasattr(self.model, "reconstruct"):
            raise InputError(f"{path}: model {self.run.model!r} re-generates no clips")
        store, run = self.store, self.run
        row = self._median_clip()
        clip = reconstruct_clip(self.model, run, store, row)
        # Frames of a resampled clip lie between the recording's; the nearest one names them.
        last, start = store.clips.length[row] - 1, store.clips.start[row]
        numbers = start + np.linspace(0, last, len(clip.original)).round().astype(int)
        fps = float(store.videos.fps[store.clips.video[row]])
        return animations.reconstruction_gif(
            path,
            run.layout,
            *clip,
            fps=fps or USUAL_FPS,
            title=f"{store.labels[store.clips.label[row]]} (test clip {row})",
            frame_numbers=numbers,
            # The body's own axes have y up whatever the store's do.
            y_points=store.y if run.preparation.axes == "none" else "up",
        )

    def _median_clip(self) -> int:
        """The test clip whose length is nearest to the median."""
        _, test = labelled_split(self.store, self.split)
        lengths = self.store.clips.length[test]
        return int(test[np.argmin(np.abs(lengths - np.median(lengths)))])
