"""Animations: a clip beside what a model re-generated of it."""

from __future__ import annotations

import math
import os
import pathlib
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mgjax.errors import InputError
from mgjax.files import whole, writable
from mgjax.report import pictures, skeletons
from mgjax.report.pictures import CENTRED, QUIET
from mgjax.report.skeletons import DrawnSkeleton, YPoints
from mgjax.skeleton import Layout

_PANEL, _GAP, _HEAD, _FOOT = 2.6, 0.1, 0.62, 0.3  # inches
_DOTS_PER_INCH = 120  # fewer than a picture has: a file grows with every pixel of every frame
_PALETTE_SIZE = 96
_FASTEST = 50  # frames a second that a GIF can show


class _Stage:
    """Two skeletons beside each other in a figure, moved from frame to frame.

    The window is that of the left one, the input: its joints `places [T, V, 2]` where `seen
    [T, V]`.
    """

    def __init__(self, layout: Layout, down: bool, places, seen, title: str):
        centre, extent = skeletons.box(places[seen])
        tall = float(np.clip(extent[1] / extent[0], 0.7, 1.5))
        width, height = 2 * _PANEL + 0.3, _HEAD + _PANEL * tall + _FOOT
        self.figure = pictures.new_figure(width, height)
        self.figure.set_dpi(_DOTS_PER_INCH)
        line = textwrap.shorten(title, 60, placeholder="…")
        top = 1 - 0.18 / height
        self.figure.text(_GAP / width, top, line, size=9, weight="bold", va="center")
        self.sides = []
        for i, name in enumerate(("input", "re-generated")):
            left = _GAP + i * (_PANEL + _GAP)
            size = (_PANEL / width, _PANEL * tall / height)
            axes = self.figure.add_axes((left / width, _FOOT / height, *size))
            skeletons.aim(axes, down, centre, extent * 1.1, tall)
            middle = (left + _PANEL / 2) / width
            self.figure.text(middle, 1 - 0.45 / height, name, color=QUIET, **CENTRED)
            self.sides.append(DrawnSkeleton(axes, layout, 1.25))
        foot = _FOOT / 2 / height
        self.clock = self.figure.text(0.5, foot, "", color=QUIET, size=7, **CENTRED)
        skeletons.side_key(self.figure, layout, seen.any(0), 1 - _GAP / width, foot)

    def pixels(self, original, regenerated, clock: str) -> np.ndarray:
        """The picture, uint8 `[height, width, 3]`, of places and seen of either side."""
        for side, (places, seen) in zip(self.sides, (original, regenerated)):
            side.show(places, seen)
        self.clock.set_text(clock)
        canvas: Any = self.figure.canvas  # Agg's; matplotlib's own types know only its base
        canvas.draw()
        # A copy: the canvas draws the next frame into the same memory.
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _palette(image):
    """The image in few colours, of which those close to white become white.

    Otherwise the background would take one of them.
    """
    image = image.quantize(_PALETTE_SIZE)
    colours = np.array(image.getpalette()).reshape(-1, 3)
    colours[colours.min(1) >= 244] = 255
    image.putpalette(colours.ravel().tolist())
    return image


def _check_lengths(path, frames: int, regenerated: int, numbers: int) -> None:
    if frames != regenerated:
        raise InputError(
            f"{path}: the original has {frames} frames and the re-generated clip {regenerated}"
        )
    if numbers != frames:
        raise InputError(f"{path}: {numbers} frame numbers for {frames} frames")


def _write(path: pathlib.Path, images: Iterator, milliseconds: int) -> None:
    """Write the images, made one at a time, each to be shown for so many milliseconds."""
    with whole(path) as partial:
        next(images).save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images,
            loop=0,
            duration=milliseconds,
        )


@pictures.house_style()
def reconstruction_gif(
    path: str | os.PathLike,
    layout: Layout,
    original: np.ndarray,
    regenerated: np.ndarray,
    score: np.ndarray | None = None,
    fps: float = 25.0,
    title: str = "",
    frame_numbers: Sequence[int] | None = None,
    y_points: YPoints | None = None,
) -> pathlib.Path:
    """Animate a model's input beside what it re-generated, at one scale.

    The window fits the input; a re-generated joint that leaves it is cut off. Joints with score 0
    are not drawn on the input's side. On the other side a joint is drawn throughout if the input
    shows it at all: filling such gaps is what the model is for, but it knows nothing of a joint
    that never comes.

    Args:
        path: the .gif file to write.
        layout: the layout of the joints.
        original, regenerated: `[T, V, C]` each, pixels, metres or model units.
        score: `[T, V]` of the original; None draws every joint.
        fps: frames a second to play. A GIF shows at most 50, so of faster ones only every second
            or third frame is kept, and its clock counts hundredths of a second, to which the
            speed is rounded.
        title: a line above.
        frame_numbers: the number that each frame has in its recording, `[T]`; None counts from 0.
        y_points: as in `skeletons.contact_sheet`.
    """
    with pictures.extra():
        from PIL import Image
    down = skeletons.points_down(layout, y_points)
    path = writable(path)
    if path.suffix.lower() != ".gif":
        raise InputError(f"{path}: an animation is written as a .gif file")
    if not fps > 0:
        raise InputError(f"{path}: fps is {fps}, expected more than 0")
    places, seen = skeletons.places_and_seen(layout, original, score, "the original")
    other, finite = skeletons.places_and_seen(layout, regenerated, None, "the re-generated clip")
    numbers = range(len(places)) if frame_numbers is None else frame_numbers
    _check_lengths(path, len(places), len(other), len(numbers))
    stage = _Stage(layout, down, places, seen, title)
    shown = finite & seen.any(0)

    def draw(frame):
        sides = (places[frame], seen[frame]), (other[frame], shown[frame])
        return Image.fromarray(stage.pixels(*sides, f"frame {numbers[frame]}"))

    step = math.ceil(fps / _FASTEST)
    frames = range(0, len(places), step)
    # One palette for all frames, or colours flicker; the fullest frame has all of them.
    palette = _palette(draw(max(frames, key=lambda frame: seen[frame].sum())))
    images = (draw(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    # A GIF's clock counts hundredths of a second, and browsers slow down what is below two.
    _write(path, images, max(20, round(100 * step / fps) * 10))
    return path
