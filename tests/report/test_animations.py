import numpy as np
import pytest
from drawn import UPPER, Image, colour_of, person, places

from mgjax.errors import InputError
from mgjax.report import animations

pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")


def test_the_animation(tmp_path):
    keypoints, score = person(7)
    path = animations.reconstruction_gif(
        tmp_path / "r.gif", UPPER, keypoints, keypoints + 5, score, 20, "a clip"
    )
    assert path == tmp_path / "r.gif"
    with Image.open(path) as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (7, 50, 0)
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    # A GIF shows at most 50 frames a second: of 120 a second every third stays.
    with Image.open(
        animations.reconstruction_gif(path, UPPER, keypoints, keypoints, None, 120)
    ) as image:
        assert (image.n_frames, image.info["duration"]) == (3, 20)


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
            animations.reconstruction_gif(tmp_path / "r.gif", UPPER, keypoints, keypoints, **how)
        ) as image:
            picture = np.asarray(image.convert("RGB")).astype(int)[:-40]  # above its key
        return np.median(places(picture, "left arm")[0])

    assert rows(y_points="up") < rows()


def test_the_animation_hides_what_the_input_lacks(tmp_path):
    keypoints, score = person(4)
    hand = UPPER.index(*UPPER.parts["left hand"])
    wanted = colour_of("left hand")

    def shown():
        """Pixels of the left hand's colour in frame 2: on the input's side and on the other."""
        path = animations.reconstruction_gif(
            tmp_path / "r.gif", UPPER, keypoints, keypoints, score, 10
        )
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


def test_every_frame_has_its_number(tmp_path):
    keypoints, _ = person(2)
    with pytest.raises(InputError, match="3 frame numbers for 2 frames"):
        animations.reconstruction_gif(
            tmp_path / "x.gif", UPPER, keypoints, keypoints, frame_numbers=[1, 2, 3]
        )
