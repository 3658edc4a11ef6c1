"""Annotations as pyskl writes them, and pickles made by hand."""

import pickle

import numpy as np

NUMBERS = np.random.default_rng(0)


def annotation(id="a", people=1, frames=3, joints=17, dimensions=2, **changes):
    """One annotation as pyskl writes it, in float16 as in its published pickles."""
    shape = (people, frames, joints)
    fields = {
        "frame_dir": id,
        "label": 0,
        "total_frames": frames,
        "keypoint": NUMBERS.uniform(1, 500, (*shape, dimensions)).astype(np.float16),
    }
    if dimensions == 2:
        fields |= {
            "img_shape": (720, 1280),
            "original_shape": (720, 1280),
            "keypoint_score": NUMBERS.uniform(0.1, 1, shape).astype(np.float16),
        }
    fields |= changes
    return {name: value for name, value in fields.items() if value is not None}


def put(folder, content, name="in.pkl", protocol=4):
    path = folder / name
    path.write_bytes(pickle.dumps(content, protocol))
    return path


class Run:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def program(*operations):
    """A pickle by its operations."""
    return b"\x80\x04" + b"".join(operations) + b"."


def named(module, name):
    return f"c{module}\n{name}\n".encode()
