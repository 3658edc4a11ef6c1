import pytest

from mgjax import sides


def test_a_landmark_list_of_left_and_right_words(shared_data):
    joints = (shared_data / "webcam_gestures" / "joints.txt").read_text().split()
    pairs = sides.pairs(joints)
    assert len(pairs) == 16 and {joint for pair in pairs for joint in pair} == set(joints) - {
        "nose"
    }
    assert all(left.replace("left", "right") == right for left, right in pairs)


@pytest.mark.parametrize(
    "name, side",
    [
        ("left_hand", "l"),
        ("MyRightHand", "r"),
        ("RPalm", "r"),
        ("upright", ""),
        ("Lip", ""),
        ("both left and right", "lr"),
    ],
)
def test_the_side_that_a_name_says(name, side):
    assert sides.side_of(name) == side


def test_a_joint_has_one_partner():
    assert sides.pairs(["l_l", "r_l", "l_r"]) == (("l_l", "r_l"),)
