"""One run on one or many devices, in one or two processes: the same losses, and checkpoints that
move between them.
"""

import json
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from mgjax import skeleton
from mgjax.store import StoreWriter

PROGRAM = pathlib.Path(__file__).with_name("many_devices.py")


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "clips.h5"
    layout = skeleton.get("imigue22")
    random = np.random.default_rng(0)
    lengths = random.integers(4, 25, 40)
    with StoreWriter(
        path, layout, unit="pixel", frames=int(lengths.sum()), source="a test", labels=["a"]
    ) as writer:
        for i, length in enumerate(lengths):
            keypoints = random.normal(100, 20, (1, len(layout), 2)) + np.cumsum(
                random.normal(0, 2, (length, len(layout), 2)), axis=0
            )
            writer.add_video(f"v{i}", keypoints, np.ones((length, len(layout))))
            writer.add_clip(f"v{i}", 0, int(length), "a")
    return path


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.PIPE,
    )


def losses(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    found = [line for line in out.splitlines() if line.startswith("[") and line.endswith("]")]
    return json.loads(found[-1]) if found else None


@pytest.fixture(scope="module")
def one_device(store_path, tmp_path_factory):
    return losses(start(store_path, tmp_path_factory.mktemp("one") / "run", 4, 1))


@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.slow), 8])
def test_losses_do_not_depend_on_the_number_of_devices(devices, store_path, one_device, tmp_path):
    assert len(one_device) == 4
    np.testing.assert_allclose(
        losses(start(store_path, tmp_path / "run", 4, devices)), one_device, rtol=1e-5
    )


@pytest.mark.slow
def test_two_processes_are_one_run(store_path, one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [start(store_path, tmp_path / "run", 4, 2, process, address) for process in (0, 1)]
    found = [losses(process) for process in both]
    np.testing.assert_allclose(found[0], one_device, rtol=1e-5)


@pytest.mark.slow
def test_a_run_moves_from_eight_devices_to_one_to_two(store_path, one_device, tmp_path):
    assert len(losses(start(store_path, tmp_path / "run", 1, 8))) == 1
    assert len(losses(start(store_path, tmp_path / "run", 2, 1))) >= 2
    np.testing.assert_allclose(
        losses(start(store_path, tmp_path / "run", 4, 2)), one_device, rtol=1e-5
    )
