"""Checkpoints: Orbax writes and reads them, and what is read is what was written.

    checkpoints/<step>/model/           the model's arrays
    checkpoints/<step>/training/        the rest of the training state
    checkpoints/<step>/digests.json     BLAKE2b of every other file of the checkpoint

A checkpoint without digests is of an older version, or of a process killed just after Orbax had
finished it; it is read as it is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import pathlib
import shutil
import sys
import time

import jax
import orbax.checkpoint as ocp

from mgjax import files
from mgjax.errors import InputError

DIGESTS = "digests.json"
_COMMITTED = "commit_success.txt"


def manager_of(folder: pathlib.Path, writing: bool) -> ocp.CheckpointManager:
    """Orbax's manager of a folder of checkpoints, of which the two newest are kept."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=2,
        create=writing,
        cleanup_tmp_directories=writing,
        # A save that has returned has happened: a kill right after it loses nothing.
        enable_async_checkpointing=False,
    )
    return ocp.CheckpointManager(folder, options=options)


def save(manager: ocp.CheckpointManager, step: int, **items):
    """Save trees of arrays as a checkpoint, by name.

    Raises:
        InputError: it cannot be written; nothing of it is left.
    """
    folder = pathlib.Path(manager.directory)
    saves = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
    try:
        with _threads_silenced():
            manager.save(step, args=ocp.args.Composite(**saves))
        if jax.process_index() == 0:
            seal(manager, step)
    except Exception as error:  # Orbax and TensorStore raise what they like
        # Orbax's own names for what it had not finished begin with the step's.
        for path in (folder / str(step), *folder.glob(f"{step}.*")):
            shutil.rmtree(path, ignore_errors=True)
        last = max(
            (int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=None
        )
        kept = (
            "nothing was saved yet" if last is None else f"the run goes on from that of step {last}"
        )
        raise InputError(
            f"{folder}: the checkpoint of step {step} cannot be written "
            f"({_reason(error, folder)}); {kept}"
        ) from None


def seal(manager: ocp.CheckpointManager, step: int):
    """Note the digests of a finished checkpoint's files, unless that was done.

    Its files do not say where they were written then; Orbax's own do.
    """
    checkpoint = pathlib.Path(manager.directory) / str(step)
    if (checkpoint / DIGESTS).exists():
        return
    # Orbax writes the folder's full path there, which is nobody's business.
    for path in checkpoint.rglob(_COMMITTED):
        path.write_text("Checkpoint commit was successful")
    files.write_json(checkpoint / DIGESTS, _digests(checkpoint))


def damage(checkpoint: pathlib.Path) -> str | None:
    """What differs between a checkpoint's files and their digests, in words; None where nothing
    does.
    """
    if not (checkpoint / DIGESTS).exists():
        return None
    try:
        noted = files.read_json(checkpoint / DIGESTS, "digests of files")
        found = _digests(checkpoint)
    except InputError:
        return f"{DIGESTS} cannot be read"
    except OSError as error:
        return f"its files cannot be read ({error.strerror})"
    # An empty object would vouch for anything.
    if not noted or not isinstance(noted, dict):
        return f"{DIGESTS} holds no digests"
    wrong = sorted(name for name in noted if noted[name] != found.get(name))
    return f"{wrong[0]} is not as it was written" if wrong else None


def restore(manager: ocp.CheckpointManager, step: int, **items) -> dict:
    """Read trees of arrays out of a checkpoint.

    Args:
        items: trees of the shapes and dtypes to expect, by name.

    Raises:
        InputError: it is damaged, or does not hold what is asked for.
    """
    checkpoint = pathlib.Path(manager.directory) / str(step)
    problem = damage(checkpoint)
    if problem:
        raise InputError(f"{checkpoint}: damaged: {problem}")
    args = ocp.args.Composite(
        **{name: ocp.args.StandardRestore(tree) for name, tree in items.items()}
    )
    try:
        with _threads_silenced():
            read = manager.restore(step, args=args)
        # Orbax may give other shapes than it was asked for, and not complain.
        same = jax.tree.map(_alike, items, dict(read.items()))
        if not all(jax.tree.leaves(same)):
            raise ValueError("arrays of other shapes")
    except Exception:  # Orbax and TensorStore raise what they like
        raise InputError(
            f"{checkpoint}: cannot be read: damaged, or from another version of mgjax"
        ) from None
    return dict(read.items())


def _alike(one, other) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype


def newest(manager: ocp.CheckpointManager, **items) -> tuple[int, dict, list[int]] | None:
    """The newest checkpoint that can be read; where it is not the newest, standard error says so.

    Returns:
        its step, its trees as of `restore`, and the steps of newer ones, which are damaged; None
        where there are no checkpoints.

    Raises:
        InputError: none of them can be read.
    """
    steps, damaged = sorted(manager.all_steps(), reverse=True), []
    for step in steps:
        try:
            read = restore(manager, step, **items)
        except InputError as error:
            damaged.append(step)
            reason = str(error)
            continue
        if damaged:
            print(
                f"note: {reason}; the checkpoint of step {step} is used",
                file=sys.stderr,
                flush=True,
            )
        return step, read, damaged
    if damaged:
        raise InputError(f"{reason}; there is no other checkpoint")
    return None


def _digests(checkpoint: pathlib.Path) -> dict[str, str]:
    """The digest of every file of a checkpoint, by its path there."""
    found = {}
    for path in sorted(checkpoint.rglob("*")):
        name = path.relative_to(checkpoint).as_posix()
        # The digests themselves, and what a killed process left of them, are not vouched for.
        if path.is_file() and not name.startswith(DIGESTS):
            with open(path, "rb") as file:
                found[name] = hashlib.file_digest(file, "blake2b").hexdigest()
    return found


def _reason(error: Exception, folder: pathlib.Path) -> str:
    """Why a checkpoint could not be written, in a few words; the disk's own reason first."""
    number = getattr(error, "errno", None)
    if number is not None:
        return os.strerror(number)
    # TensorStore gives the system's words within longer ones of its own.
    text = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EACCES, errno.EROFS):
        if os.strerror(number) in text:
            return os.strerror(number)
    first = text.splitlines()[0] if text else ""
    return f"{type(error).__name__}: {first}".replace(str(folder), "")[:200]


@contextlib.contextmanager
def _threads_silenced():
    """Keep to ourselves what threads of a failing read or write say: a traceback each, some a
    moment later.
    """
    with contextlib.redirect_stderr(io.StringIO()) as written:
        try:
            yield
        except BaseException:
            # Their last words may come after the error itself.
            time.sleep(0.5)
            raise
    sys.stderr.write(written.getvalue())
