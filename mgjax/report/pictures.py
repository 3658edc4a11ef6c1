"""How every picture of the project looks and how it is saved.

The modules that draw are `skeletons` (contact sheets), `animations`, `figures` (clip lengths,
losses, confusion matrices) and `embedding_map`. Each of their public functions takes arrays,
writes one file, whose ending names its format (.png, .pdf, .svg, ...), and returns its path; it
raises `InputError` if the extra is not installed, if the folder to write into is missing, or if its
arrays do not fit together.

Matplotlib, pillow and scikit-learn come with the extra `plots` and are imported when a picture is
drawn. pyplot is never used: the caller's figures, backend and settings stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mgjax.errors import InputError
from mgjax.files import whole, writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 160

INK, QUIET, RULE = "#222222", "#767676", "#d9d9d9"
# How a text lies about the place that it is given.
CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}

# fmt: off
_STYLE = {
    "font.size": 8, "font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": QUIET, "axes.linewidth": 0.6, "axes.titlesize": 9, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "xtick.color": QUIET, "ytick.color": QUIET, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "grid.color": RULE, "grid.linewidth": 0.5,
}

# Okabe and Ito's colours for colour-blind readers; their yellow and black give way to colours
# seen as well on white as the rest.
CLASS_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#7a7a7a",
)
# fmt: on
CLASS_MARKERS = "osDv"


@contextlib.contextmanager
def extra() -> Iterator[None]:
    """Around an import from the extra `plots`: one sentence where it is missing."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"pictures need {error.name}: pip install mgjax[plots]") from None


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """This project's look while a picture is drawn; the caller's settings come back after."""
    with extra():
        from matplotlib import style
    # From matplotlib's defaults on, so that nothing of the caller's settings shows through.
    with style.context(["default", _STYLE]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches."""
    with extra():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    # The canvas ties the figure to Agg; pyplot never hears of it, so no window can open.
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | os.PathLike, **options: Any) -> pathlib.Path:
    """Write a figure, whole or not at all, in the format that the path's ending names.

    Args:
        figure: what `new_figure` returned.
        path: the file to write.
        options: passed on to matplotlib's `Figure.savefig`.
    """
    path = writable(path)
    ending = path.suffix[1:].lower()
    known = figure.canvas.get_supported_filetypes()
    if ending not in known:
        endings = ", ".join(sorted(known))
        raise InputError(f"{path}: cannot be written, its ending is none of {endings}")
    with whole(path) as partial:
        figure.savefig(partial, format=ending, **options)
    return path
