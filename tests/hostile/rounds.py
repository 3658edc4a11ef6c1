"""Rounds of a campaign that take processes of their own: kills, races, full disks, closed pipes.

Each round is a function of (count, seed, log, folder) that returns a line for every finding.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "MGJAX_CAMPAIGN"  # an environment variable by which the processes of a round are known
PATIENCE = 120.0  # seconds that a process may take, on a busy machine
TINY = [
    "--usvae.units=4",
    "--usvae.decoder_units=4",
    "--usvae.latent_size=4",
    "--train.batch_size=8",
    "--train.length_buckets=1",
    "--prepare.centre=frame",
    "--train.checkpoint_seconds=0",
]


def add_options(parser):
    """A flag for every round."""
    parser.add_argument(
        "--training_kills", type=int, default=0, help="kill a training so often, and resume it"
    )
    parser.add_argument(
        "--packing_kills", type=int, default=0, help="kill packing and simulating so often"
    )
    parser.add_argument(
        "--race_seconds",
        type=float,
        default=0,
        help="two writers and a reader of one store, so long",
    )
    parser.add_argument("--full_disk", action="store_true", help="let the disk be full")
    parser.add_argument("--pipes", action="store_true", help="closed and full streams, and signals")


def run(options, log) -> list[str]:
    """The rounds that are asked for."""
    asked = (
        (training_kills, options.training_kills),
        (packing_kills, options.packing_kills),
        (race, options.race_seconds),
        (full_disk, options.full_disk),
        (pipes, options.pipes),
    )
    found = []
    for function, count in asked:
        if count:
            began = time.monotonic()
            with tempfile.TemporaryDirectory(
                prefix="campaign-", ignore_cleanup_errors=True
            ) as folder:
                bad, said = function(count, options.seed, pathlib.Path(folder))
            name, seconds = function.__name__, time.monotonic() - began
            log(f"{name}: {said}; findings {len(bad)}, {seconds:.0f} s")
            found += [f"{name}: {line}" for line in bad]
    return found


# Processes


def start(script, *arguments, token="", environment=(), **how) -> subprocess.Popen:
    """Start a script of the project, on the CPU, in a session of its own; its output is kept."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.Popen(
        command,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=_environment(token) | dict(environment),
        **how,
    )


def _environment(token) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", TOKEN: token}


def ended(process, seconds=PATIENCE) -> tuple[int, str, str]:
    """Wait for a process: its exit code, output and errors."""
    try:
        said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return -1, "", "Traceback: it did not end"
    return process.returncode, said[0] or "", said[1] or ""


def left_over(token, patience=10.0) -> list[int]:
    """Processes of a token that still run so many seconds later."""
    until = time.monotonic() + patience
    while True:
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                running = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if running and f"{TOKEN}={token}\0".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)


def content(path) -> dict:
    """All of a store but when and how it was made."""
    found = {}
    with h5py.File(path) as file:

        def look(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item[()].tolist()
            found[name + "@"] = {
                key: np.asarray(value).tolist() for key, value in item.attrs.items()
            }

        file.visititems(look)
        found["@"] = {
            key: np.asarray(value).tolist()
            for key, value in file.attrs.items()
            if key not in ("created", "command")
        }
    return found


def _simulate(*flags) -> tuple:
    return (
        "data_prep/simulate.py",
        "--videos=4",
        "--subjects=4",
        "--clips_per_video=6",
        "--seed=1",
        *flags,
    )


def _pack(folder, output, *flags) -> tuple:
    tables = folder / "interviews"
    return (
        "data_prep/pack_openpose.py",
        "--input",
        tables / "openpose",
        "--layout=imigue22",
        "--output",
        output,
        "--videos",
        tables / "videos.csv",
        "--clips",
        tables / "clips.csv",
        *flags,
    )


def _interviews(folder):
    code, _, said = ended(start(*_simulate("--output", folder / "interviews", "--workers=2")))
    if code:
        raise RuntimeError(f"the interviews could not be simulated: {said}")


def _sentence(code, said) -> str:
    """What is wrong with how a script refused."""
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    if "Traceback" in said or len(lines) != 1 or code <= 0:
        return f"ended with {code} and said {said.strip()[-300:]!r}, expected one sentence"
    return ""


# Kills


def training_kills(count, seed, folder):
    """A training that is killed at random moments ends as one that is not, to the bit."""
    from hostile import stores

    stores.write_store(folder / "store.h5", frames=9)
    program = ROOT / "tests" / "training" / "kill_and_resume.py"
    few = count <= 5  # a short run, compiled once
    code, said, errors = ended(
        start(
            program,
            folder / "store.h5",
            folder / "runs",
            count,
            seed,
            21 if few else 121,
            environment=_cache(folder) if few else (),
        ),
        120 + 40 * count,
    )
    return ([f"{errors.strip()[-500:]}"] if code else []), said.strip()[-300:] or "it failed"


def _cache(folder) -> dict[str, str]:
    """Where JAX keeps what it has compiled."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def packing_kills(count, seed, folder):
    """Packing and simulating, killed at random moments: no store under the final name, no process
    left, and the same command succeeds afterwards with the same store."""
    chance, bad, killed, number = random.Random(f"kills {seed}"), [], 0, 0
    _interviews(folder)
    whole, seconds = {}, {}
    ways = {
        "pack": lambda output: _pack(folder, output, "--workers=2"),
        "simulate": lambda output: _simulate("--store", output, "--workers=2"),
    }
    for name, command in ways.items():
        began = time.monotonic()
        code, _, said = ended(start(*command(folder / f"{name}.h5")))
        if code:
            return [f"{name} fails unbroken: {said}"], "broken off"
        seconds[name], whole[name] = time.monotonic() - began, content(folder / f"{name}.h5")
    while killed < count and number < 4 * count:
        number += 1
        name = chance.choice(sorted(ways))
        output, token = folder / "killed" / f"{name}{number}.h5", f"{os.getpid()}-{number}"
        output.parent.mkdir(exist_ok=True)
        process, began = start(*ways[name](output), token=token), time.monotonic()
        # Half of them late, when the store is being closed.
        share = chance.random() if chance.random() < 0.5 else chance.uniform(0.8, 1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(share * seconds[name])
            seconds[name] = time.monotonic() - began  # it was faster than the ones before
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if left_over(token):
            bad.append(f"{name} {number}: processes {left_over(token)} are left")
        if output.exists() and not _is(output, whole[name]):
            bad.append(f"{name} {number}: killed at {share:.2f}, the store there is not whole")
        code, _, said = ended(start(*ways[name](output)))
        if code or not _is(output, whole[name]) or os.listdir(output.parent) != [output.name]:
            bad.append(f"{name} {number}: the rerun ended with {code}: {said[-200:]}")
        shutil.rmtree(output.parent)
    return bad, f"killed {killed} times before the end"


def _is(path, expected: dict) -> bool:
    """Whether a store can be read, and holds what is expected."""
    try:
        return content(path) == expected
    except (OSError, RuntimeError):
        return False


# Two writers

_WRITER = """
import sys, time
sys.path.insert(0, {tests!r})
from hostile import stores
from mgjax.errors import InputError
until, written = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < until:
    try:
        stores.write_store(sys.argv[1], seed=int(sys.argv[2]), frames=40)
        written += 1
    except InputError as error:
        if "another process" not in str(error):
            raise
print(written)
"""
_READER = """
import sys, time, numpy as np
from mgjax.store import Store
known = []
for path in sys.argv[3:]:
    with Store(path) as store:
        known.append(store.frames(0, store.frame_count))
until, read, other = time.monotonic() + float(sys.argv[2]), 0, []
while time.monotonic() < until:
    try:
        with Store(sys.argv[1]) as store:
            frames = store.frames(0, store.frame_count)
        if not any(all(map(np.array_equal, frames, one)) for one in known):
            other.append("another store than the two")
    except Exception as error:
        other.append(str(error))
    read += 1
print(read, len(other), other[:1])
"""


def race(seconds, seed, folder):
    """Two writers of one path and a reader: every read is of one of the two stores, whole."""
    from hostile import stores

    for number in range(2):
        stores.write_store(folder / f"{number}.h5", seed=number, frames=40)
    path = shutil.copy(folder / "0.h5", folder / "race.h5")
    (folder / "writer.py").write_text(_WRITER.format(tests=str(ROOT / "tests")))
    (folder / "reader.py").write_text(_READER)
    sides = [start(folder / "writer.py", path, number, seconds) for number in range(2)]
    reader = start(folder / "reader.py", path, seconds, folder / "0.h5", folder / "1.h5")
    bad, counts = [], []
    for name, process in (("writer", sides[0]), ("writer", sides[1]), ("reader", reader)):
        code, said, errors = ended(process, seconds + PATIENCE)
        counts.append(said.split()[0] if said.split() else "0")
        if code:
            bad.append(f"a {name} ended with {code}: {errors.strip()[-300:]}")
        elif name == "reader" and said.split()[1] != "0":
            bad.append(f"reads, of them failed, the first failure: {said.strip()[-200:]}")
    if content(path) not in (content(folder / "0.h5"), content(folder / "1.h5")):
        bad.append("the store that is there in the end is neither")
    if (folder / "race.h5.partial").exists():
        bad.append("a .partial is left")
    return bad, f"stores written {counts[0]} and {counts[1]}, reads {counts[2]}"


# Full disks


@contextlib.contextmanager
def _small_disk(folder):
    """A folder on a disk of 64 MB, and a function that leaves so many bytes free; None in its place
    where no disk can be had."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        yield disk, None
        return
    filler = disk / "filler"

    def leave(size):
        filler.unlink(missing_ok=True)
        if size is not None:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, free - size)

    try:
        yield disk, leave
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def full_disk(_, seed, folder):
    """Packing, simulating, training and embedding on a full disk: one sentence, nothing left, and
    once there is space the same command succeeds. Where no small disk can be mounted, the size of
    files is limited instead."""
    _interviews(folder)
    bad, tried = [], 0
    store = folder / "store.h5"
    _need(_pack(folder, store, "--workers=1"))
    _need(_train(store, folder / "run"))
    with _small_disk(folder) as (disk, leave):
        commands = {
            "pack": (_pack(folder, disk / "out.h5", "--workers=2"), (0, 10_000, 200_000)),
            "simulate": (
                _simulate("--store", disk / "out.h5", "--workers=2"),
                (0, 10_000, 200_000),
            ),
            "simulate openpose": (_simulate("--output", disk / "out", "--workers=2"), (0, 100_000)),
            "train": (_train(store, disk / "out"), (0, 20_000, 60_000)),
            "embed": (
                (
                    "launch/embed.py",
                    "--workdir",
                    folder / "run",
                    "--store",
                    store,
                    "--output",
                    disk / "out.h5",
                ),
                (0, 4_096),
            ),
        }
        for name, (command, sizes) in commands.items():
            for size in sizes:
                tried += 1
                bad += [
                    f"{name}, {size} bytes free: {line}"
                    for line in _on_full_disk(command, disk, leave, size)
                ]
                for path in disk.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return bad, f"{tried} commands, " + (
        "on a small disk" if leave else "by limited files, for no disk can be mounted"
    )


def _train(store, workdir):
    return (
        "launch/train.py",
        "--store",
        store,
        "--split=cross_subject",
        "--workdir",
        workdir,
        "--train.epochs=2",
        *TINY,
    )


def _need(command):
    code, _, said = ended(start(*command))
    if code:
        raise RuntimeError(f"{command[0]}: {said}")


def _on_full_disk(command, disk, leave, size):
    if leave:
        leave(size)
        code, _, said = ended(start(*command))
    else:

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        code, _, said = ended(start(*command, preexec_fn=limit))
    if code == 0:
        return []  # it was enough
    bad = [_sentence(code, said)]
    # A run's folder may stay, to go on with; anything else is gone.
    left = [
        path.name
        for path in disk.rglob("*")
        if path.name != "filler" and "train" not in command[0] and path.is_file()
    ] + [path.name for path in disk.rglob("*.partial")]
    if left:
        bad.append(f"left behind: {sorted(set(left))[:5]}")
    if leave:
        leave(None)
    code, _, said = ended(start(*command))
    if code:
        bad.append(f"with space again it ended with {code}: {said.strip()[-300:]}")
    return [line for line in bad if line]


# Streams and signals


def pipes(_, seed, folder):
    """Closed, full and short streams, and signals: no traceback, nothing half written, no process
    left."""
    _interviews(folder)
    store = folder / "store.h5"
    _need(_pack(folder, store, "--workers=1"))
    _need(_train(store, folder / "run"))
    chance, bad, tried = random.Random(f"pipes {seed}"), [], 0
    streams = {
        "stdout closed": ">&-",
        "stderr closed": "2>&-",
        "both closed": ">&- 2>&-",
        "stdin closed": "<&-",
        "stdout full": "> /dev/full",
        "stderr full": "2> /dev/full",
        "head": "| head -1",
        "gone": "| true",
    }
    commands = {
        "pack": lambda: _pack(folder, folder / "out" / "out.h5", "--workers=2"),
        "simulate": lambda: _simulate("--store", folder / "out" / "out.h5", "--workers=2"),
        "inspect": lambda: ("data_prep/inspect_store.py", "--store", store),
        "train": lambda: _train(store, folder / "out" / "run"),
        "embed": lambda: (
            "launch/embed.py",
            "--workdir",
            folder / "run",
            "--store",
            store,
            "--output",
            folder / "out" / "out.h5",
        ),
    }
    for name, command in commands.items():
        for what, how in streams.items():
            tried += 1
            bad += [
                f"{name}, {what}: {line}"
                for line in _with_streams(name, command(), how, folder, str(tried))
            ]
        for number in (signal.SIGTERM, signal.SIGHUP):
            for _ in range(2 if name != "inspect" else 0):
                tried += 1
                slow = name in ("train", "embed")  # they import JAX first
                after = chance.uniform(2, 8) if slow else chance.uniform(0.3, 1.5)
                bad += [
                    f"{name}, {number.name} after {after:.1f} s: {line}"
                    for line in _signalled(name, command(), number, after, folder, str(tried))
                ]
    return bad, f"{tried} commands"


def _empty(folder):
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()


def _with_streams(name, command, how, folder, token):
    _empty(folder)
    token = f"pipes-{os.getpid()}-{token}"
    line = " ".join(f"'{part}'" for part in (sys.executable, ROOT / command[0], *command[1:]))
    with open(folder / "said", "w+") as said:
        error = "" if "2>" in how else "2>&3"
        process = subprocess.Popen(
            ["bash", "-c", f"set -o pipefail; exec 3>&2; {line} {error} {how}"],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
            env=_environment(token),
        )
        code, _, _ = ended(process)
        said.seek(0)
        text = said.read()
    bad = _after(name, code, text, folder, token, whole=code == 0)
    if code and how.endswith("-"):  # a closed stream is no reason not to do the work
        bad.append(f"ended with {code}: {text.strip()[-300:]!r}")
    return bad


def _signalled(name, command, number, after, folder, token):
    _empty(folder)
    token = f"signal-{os.getpid()}-{token}"
    process = start(*command, token=token)
    time.sleep(after)
    os.kill(process.pid, number)
    code, _, said = ended(process)
    bad = _after(name, code, said, folder, token, whole=code == 0)
    if code not in (0, 128 + number, -number):
        bad.append(f"ended with {code}")
    return bad


def _after(name, code, said, folder, token, whole):
    bad = []
    if "Traceback" in said or "Exception ignored" in said:
        bad.append(f"said {said.strip()[-300:]!r}")
    if left_over(token):
        bad.append("processes are left")
    names = [path.name for path in (folder / "out").iterdir()]
    if any(each.endswith(".partial") for each in names):
        bad.append(f"left {names}")
    if whole and name in ("pack", "simulate", "embed") and names != ["out.h5"]:
        bad.append(f"ended with 0, but left {names}")
    return bad
