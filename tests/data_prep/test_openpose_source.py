import pytest

from data_prep import openpose_source
from mgjax import skeleton
from mgjax.errors import InputError


def test_the_layout_says_the_model():
    assert openpose_source.source_of(skeleton.get("body25b")).model.name == "body25b"
    assert openpose_source.source_of(skeleton.get("coco18")).model.name == "coco18"
    assert openpose_source.source_of(skeleton.get("coco18"), "body25").model.name == "body25"
    assert openpose_source.source_of(skeleton.get("imigue22")).model.name == "body25"
    assert openpose_source.source_of(skeleton.get("coco17"), "body25b").model.name == "body25b"


@pytest.mark.parametrize(
    "layout, options, words",
    [
        ("openpose137", {}, "only with --keep_face"),
        ("body25", {"keep_face": True}, "no face landmarks"),
        ("coco17", {}, "--model_pose"),
        ("right_hand21", {}, "--model_pose"),
        ("body25", {"model_pose": "coco18"}, "'MidHip'"),
        ("body25", {"model_pose": "mpi"}, "unknown pose model 'mpi'"),
        ("ntu25", {}, "3 dimensions"),
    ],
)
def test_what_cannot_be_read(layout, options, words):
    with pytest.raises(InputError, match=words):
        openpose_source.source_of(skeleton.get(layout), **options)


def test_a_layout_to_read_of_its_own():
    layout, hands = skeleton.BODY_25, skeleton.BODY_25_HANDS
    source = openpose_source.source_of(hands, read=layout)
    assert source.parts == () and source.columns.tolist() == [*range(25)] + [-1] * 42
    source = openpose_source.source_of(layout, read=hands)
    assert source.parts == () and source.columns.tolist() == [*range(25)]
    source = openpose_source.source_of(layout, read=skeleton.BODY_25B)
    assert source.model.name == "body25b"
    assert source.columns[layout.index("Neck", "MidHip", "REye")].tolist() == [-1, -1, 2]
    for options, words in (
        ({"read": skeleton.LEFT_HAND_21}, "have no joint in common"),
        ({"read": layout, "model_pose": "coco18"}, "no joint 'MidHip'"),
        ({"read": skeleton.COCO_17}, "--model_pose"),
    ):
        with pytest.raises(InputError, match=words):
            openpose_source.source_of(layout, **options)
