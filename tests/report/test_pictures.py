import subprocess
import sys

import numpy as np
import pytest
from drawn import UPPER, person, pixels

from mgjax.errors import InputError
from mgjax.report import animations, embedding_map, figures, skeletons

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")

NAMES = [f"class {i}" for i in range(32)]


def test_the_callers_settings_are_neither_used_nor_changed(tmp_path):
    keypoints, _ = person(2)

    def draw(name):
        path = skeletons.contact_sheet(tmp_path / name, UPPER, [keypoints], None, ["a title"])
        return pixels(path)

    plain = draw("plain.png")
    theirs = {"figure.facecolor": "black", "font.size": 30, "lines.linewidth": 9, "savefig.dpi": 20}
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams)
        np.testing.assert_array_equal(draw("dark.png"), plain)
        assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported(tmp_path):
    code = """
import sys
import numpy as np
from mgjax import skeleton
from mgjax.report import animations, figures, skeletons

layout = skeleton.get("imigue22")
x = np.random.default_rng(0).normal(size=(3, 22, 2))
skeletons.contact_sheet("s.png", layout, [x])
animations.reconstruction_gif("r.gif", layout, x, x)
figures.loss_curves("l.pdf", [{"epoch": 0, "loss": 1.0}])
figures.clip_lengths("c.svg", [1, 2, 3])
figures.confusion_matrix("m.png", np.eye(2, dtype=int), ["a", "b"])
assert not {"matplotlib.pyplot", "jax", "tkinter"} & set(sys.modules), "imported"
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "c.svg",
        "l.pdf",
        "m.png",
        "r.gif",
        "s.png",
    ]


@pytest.mark.parametrize(
    "missing, draw",
    [
        ("matplotlib", lambda path: figures.clip_lengths(path, [1, 2])),
        (
            "PIL",
            lambda path: animations.reconstruction_gif(path, UPPER, person(2)[0], person(2)[0]),
        ),
        (
            "sklearn.manifold",
            lambda path: embedding_map.embedding_map(path, np.eye(6), np.zeros(6, int), ["a"]),
        ),
    ],
)
def test_a_missing_extra_is_said_in_one_sentence(tmp_path, monkeypatch, missing, draw):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"^pictures need {missing}: pip install mgjax\[plots\]$"):
        draw(tmp_path / "x.gif")


@pytest.mark.parametrize(
    "draw, sentence",
    [
        (lambda: skeletons.contact_sheet("x.png", UPPER, []), "0 clips"),
        (
            lambda: skeletons.contact_sheet("x.png", UPPER, [person(2)[0]], None, ["a", "b"]),
            "2 titles",
        ),
        (
            lambda: skeletons.contact_sheet("x.png", UPPER, [person(2)[0]], frames_per_clip=0),
            "0 frames of a clip",
        ),
        (
            lambda: skeletons.contact_sheet("x.png", UPPER, [np.ones((2, 22, 3))]),
            r"clip 0 has shape \(2, 22, 3\)",
        ),
        (lambda: skeletons.contact_sheet("x.png", UPPER, [np.ones((0, 22, 2))]), "T at least 1"),
        (
            lambda: skeletons.contact_sheet(
                "x.png", UPPER, [np.ones((2, 22, 2))], [np.ones((2, 21))]
            ),
            "score of clip 0",
        ),
        (
            lambda: skeletons.contact_sheet("absent/x.png", UPPER, [person(2)[0]]),
            "absent: no such folder to write x.png into",
        ),
        (
            lambda: skeletons.contact_sheet("x.txt", UPPER, [person(2)[0]]),
            "x.txt: cannot be written, its ending is none of",
        ),
        (
            lambda: animations.reconstruction_gif("x.png", UPPER, *person(2)),
            "written as a .gif file",
        ),
        (
            lambda: animations.reconstruction_gif("x.gif", UPPER, person(2)[0], person(3)[0]),
            "original has 2 frames",
        ),
        (
            lambda: animations.reconstruction_gif(
                "x.gif", UPPER, person(2)[0], person(2)[0], fps=0
            ),
            "fps is 0",
        ),
        (lambda: figures.loss_curves("x.png", []), "no records"),
        (
            lambda: figures.loss_curves("x.png", [{"loss": 1.0}]),
            "must all have a step or all have an epoch",
        ),
        (
            lambda: figures.loss_curves("x.png", [{"step": 1}]),
            "no record has a number called 'loss'",
        ),
        (
            lambda: figures.loss_curves("x.png", [{"step": 1, "loss": 2}], ["kl"]),
            "no record has a number called 'kl'",
        ),
        (
            lambda: figures.confusion_matrix("x.png", np.eye(2), ["a", "b"]),
            r"\[2, 2\] counts, got float64 \[2, 2\]",
        ),
        (lambda: figures.confusion_matrix("x.png", np.eye(2, dtype=int), ["a"]), "1 classes"),
        (lambda: figures.clip_lengths("x.png", []), "must be given"),
        (lambda: figures.clip_lengths("x.png", [3, 0]), "above 0"),
        (
            lambda: embedding_map.embedding_map("x.png", np.eye(4), np.zeros(4, int), ["a"]),
            "N at least 5",
        ),
        (
            lambda: embedding_map.embedding_map("x.png", np.eye(6), np.arange(6), NAMES[:5]),
            "outside the 5 class names",
        ),
        (
            lambda: embedding_map.embedding_map(
                "x.png", np.full((6, 2), np.nan), np.zeros(6, int), ["a"]
            ),
            "not finite",
        ),
        (
            lambda: embedding_map.embedding_map("x.png", np.ones((6, 2)), np.zeros(6, int), ["a"]),
            "all 6 embeddings are the same",
        ),
        (
            lambda: embedding_map.embedding_map("x.png", np.ones((6, 0)), np.zeros(6, int), ["a"]),
            "all 6 embeddings are the same",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, monkeypatch, draw, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        draw()
    assert list(tmp_path.iterdir()) == []
