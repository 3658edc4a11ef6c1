import json

import numpy as np
import pytest
from drawn import UPPER, Image, person, pixels, places

from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.report import animations, skeletons

pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")


def test_unseen_joints_and_their_bones_are_not_drawn(tmp_path):
    keypoints, score = person(3)
    skeletons.contact_sheet(tmp_path / "all.png", UPPER, [keypoints], [score])
    both = pixels(tmp_path / "all.png")
    score[:, UPPER.index(*UPPER.parts["left hand"])] = 0
    skeletons.contact_sheet(tmp_path / "right.png", UPPER, [keypoints], [score])
    right = pixels(tmp_path / "right.png")
    assert len(places(both, "left hand")[0]) > 50 and len(places(both, "right hand")[0]) > 50
    assert len(places(right, "left hand")[0]) == 0 and len(places(right, "right hand")[0]) > 50
    keypoints[:, UPPER.index(*UPPER.parts["right hand"])] = np.nan
    skeletons.contact_sheet(tmp_path / "nan.png", UPPER, [keypoints], None)
    assert len(places(pixels(tmp_path / "nan.png"), "right hand")[0]) == 0


def test_a_bone_needs_both_of_its_ends(unwritten):
    keypoints, score = person(1)
    score[0, UPPER.index("RElbow")] = 0
    (axes,) = skeletons.contact_sheet("-", UPPER, [keypoints], [score]).axes
    lines, dots = axes.collections
    segments = [segment.tolist() for segment in lines.get_segments()]
    assert len(segments) == 21 - 2  # not RShoulder-RElbow, not RElbow-RWrist
    assert keypoints[0, UPPER.index("RShoulder", "Neck")[::-1]].tolist() in segments
    assert len(dots.get_offsets()) == 21


def test_the_face_is_dots_without_a_star(unwritten):
    layout = skeleton.get("openpose137")
    (axes,) = skeletons.contact_sheet("-", layout, [person(1, layout)[0]]).axes
    lines, dots = axes.collections
    assert len(lines.get_segments()) == len(layout.bones) - 70
    assert len(dots.get_offsets()) == 137


def test_pixels_run_down_and_metres_up(tmp_path):
    keypoints, score = person(2)
    keypoints[:, UPPER.index(*UPPER.parts["left hand"]), 1] = 100
    keypoints[:, UPPER.index("LWrist"), 1] = 110
    keypoints[:, UPPER.index(*UPPER.parts["right hand"]), 1] = 500
    keypoints[:, UPPER.index("RWrist"), 1] = 490
    picture = pixels(skeletons.contact_sheet(tmp_path / "pixels.png", UPPER, [keypoints], [score]))

    def height(picture, part):
        """Of a part's colour over the picture, apart from its key; the median, for rims of lines
        have it too.
        """
        rows = places(picture, part)[0]
        return np.median(rows[rows > 60])

    assert height(picture, "left hand") < height(picture, "right hand")
    up = pixels(
        skeletons.contact_sheet(tmp_path / "up.png", UPPER, [keypoints], [score], y_points="up")
    )
    assert height(up, "left hand") > height(up, "right hand")

    kinect = skeleton.get("kinect20")
    keypoints = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 20, 3))
    keypoints[:, kinect.index(*kinect.parts["left leg"])] += (0.5, -0.9, 0)
    keypoints[:, kinect.index("RHip", "RKnee", "RAnkle", "RFoot")] += (-0.5, 0.9, 0)
    picture = pixels(skeletons.contact_sheet(tmp_path / "metres.png", kinect, [keypoints]))
    assert height(picture, "right leg") < height(picture, "left leg")
    down = pixels(
        skeletons.contact_sheet(tmp_path / "down.png", kinect, [keypoints], y_points="down")
    )
    assert height(down, "right leg") > height(down, "left leg")
    with pytest.raises(InputError, match="y_points is 'sideways', expected 'down' or 'up'"):
        skeletons.contact_sheet(tmp_path / "x.png", kinect, [keypoints], y_points="sideways")


def test_the_key_has_the_colours_of_all_parts_that_are_drawn(unwritten):
    layout = skeleton.get("imigue35")
    keypoints, score = person(2, layout)

    def colours(score):
        parts = skeletons.contact_sheet("-", layout, [keypoints], [score]).get_children()
        return [line.get_color() for line in parts if hasattr(line, "get_markersize")]

    everything = [
        skeletons.PART_COLOURS[f"{side} {part}"]
        for side in ("right", "left")
        for part in ("leg", "hand", "arm")
    ]
    assert colours(score) == everything
    score[:, layout.index(*layout.parts["left leg"], *layout.parts["right hand"])] = 0
    assert colours(score) == [
        colour
        for colour in everything
        if colour not in (skeletons.PART_COLOURS["left leg"], skeletons.PART_COLOURS["right hand"])
    ]


def test_frames_may_be_numbered_as_in_their_recording(unwritten):
    figure = skeletons.contact_sheet(
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
        skeletons.contact_sheet("-", UPPER, [person(2)[0], person(2)[0]], first_frames=[1])


def test_a_row_has_evenly_spread_frames_and_one_scale(unwritten):
    figure = skeletons.contact_sheet(
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


def test_one_who_walks_is_followed(unwritten):
    keypoints = np.repeat(person(1)[0], 5, 0) + np.arange(5)[:, None, None] * [300, 0]
    figure = skeletons.contact_sheet("-", UPPER, [keypoints], frames_per_clip=5)
    limits = [axes.get_xlim() for axes in figure.axes]
    assert np.ptp(limits, axis=1) == pytest.approx(np.full(5, np.ptp(limits[0])))
    assert np.diff(np.mean(limits, axis=1)) == pytest.approx(np.full(4, 300))


def test_frames_without_anybody_are_drawn_empty(tmp_path):
    keypoints, score = person(3)
    skeletons.contact_sheet(
        tmp_path / "s.png", UPPER, [keypoints, keypoints], [score * [[1], [0], [1]], score * 0]
    )
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_a_users_layout_is_coloured_by_side(unwritten):
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
    assert skeletons.parts_of(layout) == ["torso", "left arm", "right arm", "torso"]
    figure = skeletons.contact_sheet("-", layout, [np.random.default_rng(0).normal(size=(2, 4, 2))])
    assert [text.get_text() for text in figure.texts][-2:] == ["right", "left"]


def test_real_recordings(tmp_path, shared_data):
    files = sorted((shared_data / "openpose_body25_hands").glob("*.json"))
    layout, frames = skeleton.get("body25_hands"), []
    for file in files:
        found = json.loads(file.read_text())["people"][0]
        flat = [found[f"{part}_keypoints_2d"] for part in ("pose", "hand_left", "hand_right")]
        frames.append(np.concatenate(flat).reshape(67, 3))
    keypoints, score = np.array(frames)[..., :2], np.array(frames)[..., 2]
    picture = pixels(skeletons.contact_sheet(tmp_path / "s.png", layout, [keypoints], [score]))
    # out of view
    assert not len(places(picture, "left leg")[0]) and not len(places(picture, "right leg")[0])
    assert len(places(picture, "left arm")[0]) > 500 and len(places(picture, "right hand")[0]) > 200
    path = animations.reconstruction_gif(
        tmp_path / "r.gif", layout, keypoints, keypoints, score, 25
    )
    with Image.open(path) as image:
        assert image.n_frames == 9
