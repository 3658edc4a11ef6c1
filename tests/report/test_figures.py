import numpy as np
import pytest

from mgjax.report import figures

pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")


def record(step, **values):
    return {"epoch": step // 10, "step": step, **values}


def test_losses(unwritten):
    records = [
        record(10 * i, kl=0.01 + i, loss=100.0 / 2**i, note="text", broken=float("nan"))
        for i in range(6)
    ]
    figure = figures.loss_curves("-", records)
    first, second = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["loss", "kl"]
    assert (first.get_yscale(), second.get_yscale()) == ("log", "linear")  # the second rises
    assert first.get_xlabel() == "epoch"
    # epochs count from 1
    assert first.lines[0].get_xydata().tolist() == [[i + 1, 100 / 2**i] for i in range(6)]
    assert first.get_title("right") == "last 3.125"
    (axes,) = figures.loss_curves("-", [{"step": i, "loss": 2.0 - i} for i in range(4)]).axes
    assert (axes.get_yscale(), axes.get_xlabel()) == ("linear", "step")  # it turns negative
    (axes,) = figures.loss_curves("-", records, ["kl"]).axes
    assert axes.get_title("left") == "kl"


def test_a_resumed_run_repeats_itself_and_the_last_word_counts(unwritten):
    records = [
        record(0, loss=4),
        record(2, loss=3),
        record(4, loss=9),
        record(2, loss=2.5),
        record(4, loss=2),
    ]
    (axes,) = figures.loss_curves("-", records).axes
    assert axes.get_xlabel() == "step"  # all within epoch 0
    assert axes.lines[0].get_xydata().tolist() == [[0, 4], [2, 2.5], [4, 2]]


def test_confusion(unwritten):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 6]])
    figure = figures.confusion_matrix("-", matrix, ["a", "b", "c"], "title")
    axes = figure.axes[0]
    np.testing.assert_allclose(
        axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0.25, 0, 0.75]]
    )
    counts = {
        (text.get_position(), text.get_text()) for text in axes.texts if text.get_position()[0] <= 2
    }
    # x is predicted, y is true
    assert counts == {((0, 0), "3"), ((1, 0), "1"), ((0, 2), "2"), ((2, 2), "6")}
    assert [text.get_text() for text in axes.texts if text.get_position()[0] > 2] == [
        "n = 4",
        "0",
        "8",
    ]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b", "c"]
    assert axes.get_xlabel() == "predicted class" and axes.get_ylabel() == "true class"
    figure = figures.confusion_matrix(
        "-", matrix, ["a", "b", "playing with or manipulating objects"]
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2"]
    assert axes.get_yticklabels()[2].get_text() == "playing with or manipulating objects  2"


def test_clip_lengths_counts_every_clip_once(unwritten):
    for lengths in (np.arange(1, 11), np.array([7, 7, 7]), np.geomspace(1, 900, 50)):
        (axes,) = figures.clip_lengths("-", lengths, "frames").axes
        assert sum(bar.get_height() for bar in axes.patches) == len(lengths)
        assert axes.get_xscale() == ("log" if lengths.max() > 20 * lengths.min() else "linear")
        assert axes.lines[0].get_xdata()[0] == np.median(lengths)
