import json
import subprocess
import sys

import numpy as np
import pytest

from mgjax import plots, skeleton
from mgjax.errors import InputError

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
Image = pytest.importorskip("PIL.Image", reason="pictures need the extra `plots`")

UPPER = skeleton.get("imigue22")
NAMES = [f"class {i}" for i in range(32)]


@pytest.fixture
def kept(monkeypatch):
    """Pictures are not written: every function returns its figure instead."""
    monkeypatch.setattr(plots, "_save", lambda figure, path, **options: figure)


def person(frames, layout=UPPER, seed=0):
    """Joints in a square of 400 by 400."""
    rng = np.random.default_rng(seed)
    return rng.uniform(100, 500, (frames, len(layout), layout.dimensions)), np.ones(
        (frames, len(layout))
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def places(picture, part):
    """Rows and columns of the picture that show a part's colour."""
    colour = plots._PART_COLOURS[part]
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.nonzero((abs(picture - wanted) < 6).all(-1))


def test_unseen_joints_and_their_bones_are_not_drawn(tmp_path):
    keypoints, score = person(3)
    plots.skeletons(tmp_path / "all.png", UPPER, [keypoints], [score])
    both = pixels(tmp_path / "all.png")
    score[:, UPPER.index(*UPPER.parts["left hand"])] = 0
    plots.skeletons(tmp_path / "right.png", UPPER, [keypoints], [score])
    right = pixels(tmp_path / "right.png")
    assert len(places(both, "left hand")[0]) > 50 and len(places(both, "right hand")[0]) > 50
    assert len(places(right, "left hand")[0]) == 0 and len(places(right, "right hand")[0]) > 50
    keypoints[:, UPPER.index(*UPPER.parts["right hand"])] = np.nan
    plots.skeletons(tmp_path / "nan.png", UPPER, [keypoints], None)
    assert len(places(pixels(tmp_path / "nan.png"), "right hand")[0]) == 0


def test_a_bone_needs_both_of_its_ends(kept):
    keypoints, score = person(1)
    score[0, UPPER.index("RElbow")] = 0
    (axes,) = plots.skeletons("-", UPPER, [keypoints], [score]).axes
    lines, dots = axes.collections
    segments = [segment.tolist() for segment in lines.get_segments()]
    assert len(segments) == 21 - 2  # not RShoulder-RElbow, not RElbow-RWrist
    assert keypoints[0, UPPER.index("RShoulder", "Neck")[::-1]].tolist() in segments
    assert len(dots.get_offsets()) == 21


def test_the_face_is_dots_without_a_star(kept):
    layout = skeleton.get("openpose137")
    (axes,) = plots.skeletons("-", layout, [person(1, layout)[0]]).axes
    lines, dots = axes.collections
    assert len(lines.get_segments()) == len(layout.bones) - 70
    assert len(dots.get_offsets()) == 137


def test_pixels_run_down_and_metres_up(tmp_path):
    keypoints, score = person(2)
    keypoints[:, UPPER.index(*UPPER.parts["left hand"]), 1] = 100
    keypoints[:, UPPER.index("LWrist"), 1] = 110
    keypoints[:, UPPER.index(*UPPER.parts["right hand"]), 1] = 500
    keypoints[:, UPPER.index("RWrist"), 1] = 490
    picture = pixels(plots.skeletons(tmp_path / "pixels.png", UPPER, [keypoints], [score]))

    def height(picture, part):
        """Of a part's colour over the picture, apart from its key; the median, for rims of lines
        have it too.
        """
        rows = places(picture, part)[0]
        return np.median(rows[rows > 60])

    assert height(picture, "left hand") < height(picture, "right hand")
    up = pixels(plots.skeletons(tmp_path / "up.png", UPPER, [keypoints], [score], y_points="up"))
    assert height(up, "left hand") > height(up, "right hand")

    kinect = skeleton.get("kinect20")
    keypoints = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 20, 3))
    keypoints[:, kinect.index(*kinect.parts["left leg"])] += (0.5, -0.9, 0)
    keypoints[:, kinect.index("RHip", "RKnee", "RAnkle", "RFoot")] += (-0.5, 0.9, 0)
    picture = pixels(plots.skeletons(tmp_path / "metres.png", kinect, [keypoints]))
    assert height(picture, "right leg") < height(picture, "left leg")
    down = pixels(plots.skeletons(tmp_path / "down.png", kinect, [keypoints], y_points="down"))
    assert height(down, "right leg") > height(down, "left leg")
    with pytest.raises(InputError, match="y_points is 'sideways', expected 'down' or 'up'"):
        plots.skeletons(tmp_path / "x.png", kinect, [keypoints], y_points="sideways")


def test_the_animation_too_draws_what_points_up_upright(tmp_path):
    keypoints = np.full((2, len(UPPER), 2), np.nan)
    keypoints[:, UPPER.index("LShoulder", "LElbow", "RShoulder", "RElbow")] = (
        [0, 9],
        [1, 10],
        [0, 0],
        [1, 1],
    )

    def rows(**how):
        with Image.open(
            plots.reconstruction_gif(tmp_path / "r.gif", UPPER, keypoints, keypoints, **how)
        ) as image:
            picture = np.asarray(image.convert("RGB")).astype(int)[:-40]  # above its key
        return np.median(places(picture, "left arm")[0])

    assert rows(y_points="up") < rows()


def test_the_key_has_the_colours_of_all_parts_that_are_drawn(kept):
    layout = skeleton.get("imigue35")
    keypoints, score = person(2, layout)

    def colours(score):
        parts = plots.skeletons("-", layout, [keypoints], [score]).get_children()
        return [line.get_color() for line in parts if hasattr(line, "get_markersize")]

    everything = [
        plots._PART_COLOURS[f"{side} {part}"]
        for side in ("right", "left")
        for part in ("leg", "hand", "arm")
    ]
    assert colours(score) == everything
    score[:, layout.index(*layout.parts["left leg"], *layout.parts["right hand"])] = 0
    assert colours(score) == [
        colour
        for colour in everything
        if colour not in (plots._PART_COLOURS["left leg"], plots._PART_COLOURS["right hand"])
    ]


def test_frames_may_be_numbered_as_in_their_recording(kept):
    figure = plots.skeletons(
        "-", UPPER, [person(11)[0], person(2)[0]], None, None, 3, first_frames=[100, 7]
    )
    assert [text.get_text() for text in figure.texts] == [
        "",
        "frame 100",
        "105",
        "110",
        "",
        "frame 7",
        "8",
        "right",
        "left",
    ]
    with pytest.raises(InputError, match="1 first frames to draw"):
        plots.skeletons("-", UPPER, [person(2)[0], person(2)[0]], first_frames=[1])
    with pytest.raises(InputError, match="3 frame numbers for 2 frames"):
        plots.reconstruction_gif(
            "x.gif", UPPER, person(2)[0], person(2)[0], frame_numbers=[1, 2, 3]
        )


def test_a_row_has_evenly_spread_frames_and_one_scale(kept):
    figure = plots.skeletons(
        "-", UPPER, [person(11)[0], person(2)[0], person(1)[0]], None, ["a", "b", "c"], 6
    )
    assert len(figure.axes) == 6 + 2 + 1
    texts = [text.get_text() for text in figure.texts]
    assert texts == [
        "a",
        "frame 0",
        "2",
        "4",
        "6",
        "8",
        "10",
        "b",
        "frame 0",
        "1",
        "c",
        "frame 0",
        "right",
        "left",
    ]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes[:6]}) == 1
    left, right = figure.axes[0].get_xlim()
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top, "pixels run down"
    box = figure.axes[0].get_position()
    inches = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
    assert (right - left) / inches[0] == pytest.approx((bottom - top) / inches[1]), (
        "a pixel is as wide as high"
    )


def test_one_who_walks_is_followed(kept):
    keypoints = np.repeat(person(1)[0], 5, 0) + np.arange(5)[:, None, None] * [300, 0]
    figure = plots.skeletons("-", UPPER, [keypoints], frames_per_clip=5)
    limits = [axes.get_xlim() for axes in figure.axes]
    assert np.ptp(limits, axis=1) == pytest.approx(np.full(5, np.ptp(limits[0])))
    assert np.diff(np.mean(limits, axis=1)) == pytest.approx(np.full(4, 300))


def test_frames_without_anybody_are_drawn_empty(tmp_path):
    keypoints, score = person(3)
    plots.skeletons(
        tmp_path / "s.png", UPPER, [keypoints, keypoints], [score * [[1], [0], [1]], score * 0]
    )
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_a_users_layout_is_coloured_by_side(kept):
    layout = skeleton.Layout(
        "mine",
        ("Centre", "LFin", "RFin", "Beak"),
        (("Centre", "LFin"), ("Centre", "RFin"), ("Centre", "Beak")),
        ("Centre",),
        ("LFin", "RFin"),
        ("RFin", "LFin"),
        ("Centre", "Beak"),
        parts={"right wing": ("RFin",)},
    )
    assert plots._parts_of(layout) == ["torso", "left arm", "right arm", "torso"]
    figure = plots.skeletons("-", layout, [np.random.default_rng(0).normal(size=(2, 4, 2))])
    assert [text.get_text() for text in figure.texts][-2:] == ["right", "left"]


def test_the_animation(tmp_path):
    keypoints, score = person(7)
    path = plots.reconstruction_gif(
        tmp_path / "r.gif", UPPER, keypoints, keypoints + 5, score, 20, "a clip"
    )
    assert path == tmp_path / "r.gif"
    with Image.open(path) as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (7, 50, 0)
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    # A GIF shows at most 50 frames a second: of 120 a second every third stays.
    with Image.open(
        plots.reconstruction_gif(path, UPPER, keypoints, keypoints, None, 120)
    ) as image:
        assert (image.n_frames, image.info["duration"]) == (3, 20)


def test_the_animation_hides_what_the_input_lacks(tmp_path):
    keypoints, score = person(4)
    hand = UPPER.index(*UPPER.parts["left hand"])
    wanted = np.array([int(plots._PART_COLOURS["left hand"][i : i + 2], 16) for i in (1, 3, 5)])

    def shown():
        """Pixels of the left hand's colour in frame 2: on the input's side and on the other."""
        path = plots.reconstruction_gif(tmp_path / "r.gif", UPPER, keypoints, keypoints, score, 10)
        with Image.open(path) as image:
            image.seek(2)
            picture = np.asarray(image.convert("RGB")).astype(int)
        close = (abs(picture - wanted) < 24).all(-1)
        return close[:, : close.shape[1] // 2].sum(), close[:, close.shape[1] // 2 :].sum()

    everything = shown()
    score[1:, hand] = 0  # seen once: the model may fill it in
    once = shown()
    score[:, hand] = 0  # never seen
    never = shown()
    few = 0.2 * min(everything)  # what the rims of other lines have of this colour
    assert once[0] < few < once[1]
    assert max(never) < few


def record(step, **values):
    return {"epoch": step // 10, "step": step, **values}


def test_losses(kept):
    records = [
        record(10 * i, kl=0.01 + i, loss=100.0 / 2**i, note="text", broken=float("nan"))
        for i in range(6)
    ]
    figure = plots.loss_curves("-", records)
    first, second = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["loss", "kl"]
    assert (first.get_yscale(), second.get_yscale()) == ("log", "linear")  # the second rises
    assert first.get_xlabel() == "epoch"
    # epochs count from 1
    assert first.lines[0].get_xydata().tolist() == [[i + 1, 100 / 2**i] for i in range(6)]
    assert first.get_title("right") == "last 3.125"
    (axes,) = plots.loss_curves("-", [{"step": i, "loss": 2.0 - i} for i in range(4)]).axes
    assert (axes.get_yscale(), axes.get_xlabel()) == ("linear", "step")  # it turns negative
    (axes,) = plots.loss_curves("-", records, ["kl"]).axes
    assert axes.get_title("left") == "kl"


def test_a_resumed_run_repeats_itself_and_the_last_word_counts(kept):
    records = [
        record(0, loss=4),
        record(2, loss=3),
        record(4, loss=9),
        record(2, loss=2.5),
        record(4, loss=2),
    ]
    (axes,) = plots.loss_curves("-", records).axes
    assert axes.get_xlabel() == "step"  # all within epoch 0
    assert axes.lines[0].get_xydata().tolist() == [[0, 4], [2, 2.5], [4, 2]]


def test_confusion(kept):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 6]])
    figure = plots.confusion_matrix("-", matrix, ["a", "b", "c"], "title")
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
    figure = plots.confusion_matrix("-", matrix, ["a", "b", "playing with or manipulating objects"])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2"]
    assert axes.get_yticklabels()[2].get_text() == "playing with or manipulating objects  2"


def test_clip_lengths_counts_every_clip_once(kept):
    for lengths in (np.arange(1, 11), np.array([7, 7, 7]), np.geomspace(1, 900, 50)):
        (axes,) = plots.clip_lengths("-", lengths, "frames").axes
        assert sum(bar.get_height() for bar in axes.patches) == len(lengths)
        assert axes.get_xscale() == ("log" if lengths.max() > 20 * lengths.min() else "linear")
        assert axes.lines[0].get_xdata()[0] == np.median(lengths)


def offsets(figure):
    return [points.get_offsets().tolist() for points in figure.axes[0].collections]


def test_map_of_embeddings(kept, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2, -1], 12)
    embeddings = (rng.normal(size=(36, 4)) + 50 * labels[:, None]).astype(np.float32)
    figure = plots.embedding_map("-", embeddings, labels, NAMES)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["no class (12)", "class 0 (12)", "class 2 (12)"]
    points = np.array(offsets(figure))
    assert points.shape == (3, 12, 2)
    centres = points.mean(1)
    assert (
        np.linalg.norm(points - centres[:, None], axis=-1).mean()
        < np.linalg.norm(centres[0] - centres[1]) / 2
    )
    assert offsets(plots.embedding_map("-", embeddings, labels, NAMES)) == offsets(figure)
    monkeypatch.setattr(plots, "MOST_MAPPED", 20)
    figure = plots.embedding_map("-", embeddings, labels, NAMES)
    assert sum(map(len, offsets(figure))) == 20
    assert figure.axes[0].get_xlabel() == "t-SNE of 20 of 36 clips"


@pytest.mark.parametrize(
    "embeddings",
    [
        np.eye(40, 3) * 1e-30,
        np.eye(40, 3) * 1e30,
        5 + np.eye(40, 3) * 1e-3,
        np.repeat(np.eye(2), 20, 0),
        np.eye(40, 1),
        np.eye(5, 2),
    ],
    ids=["tiny", "huge", "close", "two places", "one axis and one other", "five"],
)
def test_a_map_of_whatever_is_finite_and_not_all_the_same(kept, embeddings):
    figure = plots.embedding_map("-", embeddings, np.zeros(len(embeddings), int), NAMES)
    assert np.isfinite(np.concatenate(offsets(figure))).all()


def test_32_classes_look_different(kept):
    labels = np.arange(32)
    figure = plots.embedding_map("-", np.random.default_rng(0).normal(size=(32, 3)), labels, NAMES)
    looks = {
        (tuple(points.get_facecolor()[0]), points.get_paths()[0].vertices.tobytes())
        for points in figure.axes[0].collections
    }
    assert len(looks) == 32


def test_the_callers_settings_are_neither_used_nor_changed(tmp_path):
    keypoints, _ = person(2)
    draw = lambda name: pixels(
        plots.skeletons(tmp_path / name, UPPER, [keypoints], None, ["a title"])
    )
    plain = draw("plain.png")
    theirs = {"figure.facecolor": "black", "font.size": 30, "lines.linewidth": 9, "savefig.dpi": 20}
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams)
        np.testing.assert_array_equal(draw("dark.png"), plain)
        assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported(tmp_path):
    code = (
        "import sys, numpy as np\nfrom mgjax import plots, skeleton\nlayout = "
        "skeleton.get('imigue22')\n"
        "x = np.random.default_rng(0).normal(size=(3, 22, 2))\n"
        "plots.skeletons('s.png', layout, [x])\nplots.reconstruction_gif('r.gif', layout, x, x)\n"
        "plots.loss_curves('l.pdf', [{'epoch': 0, 'loss': 1.0}])\nplots.clip_lengths('c.svg', [1, "
        "2, 3])\n"
        "plots.confusion_matrix('m.png', np.eye(2, dtype=int), ['a', 'b'])\n"
        "assert not {'matplotlib.pyplot', 'jax', 'tkinter'} & set(sys.modules), 'imported'"
    )
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
        ("matplotlib", lambda path: plots.clip_lengths(path, [1, 2])),
        ("PIL", lambda path: plots.reconstruction_gif(path, UPPER, person(2)[0], person(2)[0])),
        (
            "sklearn.manifold",
            lambda path: plots.embedding_map(path, np.eye(6), np.zeros(6, int), ["a"]),
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
        (lambda: plots.skeletons("x.png", UPPER, []), "0 clips"),
        (lambda: plots.skeletons("x.png", UPPER, [person(2)[0]], None, ["a", "b"]), "2 titles"),
        (
            lambda: plots.skeletons("x.png", UPPER, [person(2)[0]], frames_per_clip=0),
            "0 frames of a clip",
        ),
        (
            lambda: plots.skeletons("x.png", UPPER, [np.ones((2, 22, 3))]),
            r"clip 0 has shape \(2, 22, "
            r"3\)",
        ),
        (lambda: plots.skeletons("x.png", UPPER, [np.ones((0, 22, 2))]), "T at least 1"),
        (
            lambda: plots.skeletons("x.png", UPPER, [np.ones((2, 22, 2))], [np.ones((2, 21))]),
            "score of clip 0",
        ),
        (
            lambda: plots.skeletons("absent/x.png", UPPER, [person(2)[0]]),
            "absent: no such folder to write x.png into",
        ),
        (
            lambda: plots.skeletons("x.txt", UPPER, [person(2)[0]]),
            "x.txt: cannot be written, its ending is none of",
        ),
        (lambda: plots.reconstruction_gif("x.png", UPPER, *person(2)), "written as a .gif file"),
        (
            lambda: plots.reconstruction_gif("x.gif", UPPER, person(2)[0], person(3)[0]),
            "original has 2 frames",
        ),
        (
            lambda: plots.reconstruction_gif("x.gif", UPPER, person(2)[0], person(2)[0], fps=0),
            "fps is 0",
        ),
        (lambda: plots.loss_curves("x.png", []), "no records"),
        (
            lambda: plots.loss_curves("x.png", [{"loss": 1.0}]),
            "must all have a step or all have an epoch",
        ),
        (lambda: plots.loss_curves("x.png", [{"step": 1}]), "no record has a number called 'loss'"),
        (
            lambda: plots.loss_curves("x.png", [{"step": 1, "loss": 2}], ["kl"]),
            "no record has a number called 'kl'",
        ),
        (
            lambda: plots.confusion_matrix("x.png", np.eye(2), ["a", "b"]),
            r"\[2, 2\] counts, got "
            r"float64 \[2, 2\]",
        ),
        (lambda: plots.confusion_matrix("x.png", np.eye(2, dtype=int), ["a"]), "1 classes"),
        (lambda: plots.clip_lengths("x.png", []), "must be given"),
        (lambda: plots.clip_lengths("x.png", [3, 0]), "above 0"),
        (lambda: plots.embedding_map("x.png", np.eye(4), np.zeros(4, int), ["a"]), "N at least 5"),
        (
            lambda: plots.embedding_map("x.png", np.eye(6), np.arange(6), NAMES[:5]),
            "outside the 5 class names",
        ),
        (
            lambda: plots.embedding_map("x.png", np.full((6, 2), np.nan), np.zeros(6, int), ["a"]),
            "not finite",
        ),
        (
            lambda: plots.embedding_map("x.png", np.ones((6, 2)), np.zeros(6, int), ["a"]),
            "all 6 embeddings are the same",
        ),
        (
            lambda: plots.embedding_map("x.png", np.ones((6, 0)), np.zeros(6, int), ["a"]),
            "all 6 embeddings are the same",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, monkeypatch, draw, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        draw()
    assert list(tmp_path.iterdir()) == []


def test_real_recordings(tmp_path, shared_data):
    files = sorted((shared_data / "openpose_body25_hands").glob("*.json"))
    layout, frames = skeleton.get("body25_hands"), []
    for file in files:
        found = json.loads(file.read_text())["people"][0]
        flat = [found[f"{part}_keypoints_2d"] for part in ("pose", "hand_left", "hand_right")]
        frames.append(np.concatenate(flat).reshape(67, 3))
    keypoints, score = np.array(frames)[..., :2], np.array(frames)[..., 2]
    picture = pixels(plots.skeletons(tmp_path / "s.png", layout, [keypoints], [score]))
    # out of view
    assert not len(places(picture, "left leg")[0]) and not len(places(picture, "right leg")[0])
    assert len(places(picture, "left arm")[0]) > 500 and len(places(picture, "right hand")[0]) > 200
    with Image.open(
        plots.reconstruction_gif(tmp_path / "r.gif", layout, keypoints, keypoints, score, 25)
    ) as image:
        assert image.n_frames == 9
