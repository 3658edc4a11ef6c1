"""Frames as OpenPose writes them, made up for the tests."""

import json

import numpy as np

from data_prep import openpose_source
from mgjax import skeleton

BODY = skeleton.BODY_25
SOURCE = openpose_source.source_of(BODY)


def write(path, people=None, text=None):
    """One OpenPose frame; each person is an array [joints, 3] or a dict of such arrays by the
    JSON's names.
    """
    if text is None:
        parts = [
            person if isinstance(person, dict) else {"pose_keypoints_2d": person}
            for person in people
        ]
        flat = [
            {name: np.asarray(part).ravel().tolist() for name, part in person.items()}
            for person in parts
        ]
        text = json.dumps({"version": 1.3, "people": flat})
    path.write_text(text)
    return path


def standing(x, y=500.0, height=400.0, seed=0, score=0.8):
    """A person of BODY_25's joints about (x, y), float64 [25, 3]; the same seed is the same
    pose.
    """
    rng = np.random.default_rng(seed)
    pose = rng.uniform(-0.5, 0.5, (len(BODY), 2)) * (height / 3, height) + (x, y)
    return np.concatenate([pose, np.full((len(BODY), 1), score)], axis=1)


def frames(folder, people_by_frame, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in enumerate(people_by_frame, first):
        if people is not None:
            write(folder / f"cam_{number:012d}_keypoints.json", people)
    return folder


def shift(pose, x, y=0.0):
    """A pose moved by so many pixels; unseen joints stay where they are, at 0."""
    return np.where(pose[:, 2:] > 0, pose + np.array([x, y, 0]), 0)
