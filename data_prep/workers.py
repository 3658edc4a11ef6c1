"""Processes that work for this one: as many functions at a time as there are cores, answers in
order.

    with start_workers(4) as crew:
        for answer in crew.in_order(following.read_recording, tasks, ahead=8):
            ...

Such a process imports what its tasks need and nothing else, not even the running script, so it
starts quickly. It ends with the block, and with this process however that ends: its input closes
then. Ctrl-C, SIGTERM and SIGHUP are the parent's affair alone.

This module needs the standard library only.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator

from mgjax.errors import InputError

_SERVE = "from data_prep import workers; workers.serve()"
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_PARENTS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
_AT_ONCE = 2  # tasks that a worker holds: the one it does, and the next


class Crew:
    """Workers that have started; `start_workers` makes one. Without any, everything is done in this
    process.
    """

    def __init__(self, processes: list[subprocess.Popen]):
        self._processes = processes
        self._answers = queue.SimpleQueue()
        for number, process in enumerate(processes):
            threading.Thread(
                target=self._listen, args=(number, process.stdout), daemon=True
            ).start()

    def _listen(self, worker, stream):
        with stream:
            try:
                while True:
                    self._answers.put((worker, pickle.load(stream)))
            except Exception:  # its end, perhaps in the middle of an answer
                self._answers.put((worker, None))

    def in_order(self, function: Callable, tasks: Iterable[tuple], ahead: int) -> Iterator:
        """`function(*task)` of every task, in order.

        Args:
            function: of a module that can be imported, so not of a running script; it and the
                tasks are pickled.
            tasks: taken one by one as they are needed.
            ahead: how many answers may wait for an earlier one.

        Raises:
            InputError: a worker died.
            Exception: what the function raised, when its turn comes.
        """
        if not self._processes:
            yield from itertools.starmap(function, tasks)
            return
        tasks, answers, sent, given = iter(tasks), {}, 0, 0
        # numbers of the tasks that each worker holds, in order
        doing = [[] for _ in self._processes]
        while True:
            idlest = min(range(len(doing)), key=lambda worker: len(doing[worker]))
            if (
                sent - given < ahead
                and len(doing[idlest]) < _AT_ONCE
                and (task := next(tasks, None)) is not None
            ):
                self._ask(idlest, function, task)
                doing[idlest].append(sent)
                sent += 1
            elif given == sent:
                return
            elif given in answers:
                value, error = answers.pop(given)
                given += 1
                if error is not None:
                    raise error
                yield value
            else:
                worker, answer = self._answers.get()
                if answer is None:
                    raise InputError(
                        "a worker process died while reading (out of memory?); try fewer --workers"
                    )
                answers[doing[worker].pop(0)] = answer

    def _ask(self, worker, function, task):
        stream = self._processes[worker].stdin
        # One that has died is noticed where its answer is missing.
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((function, task), stream, pickle.HIGHEST_PROTOCOL)
            stream.flush()


@contextlib.contextmanager
def start_workers(count: int) -> Iterator[Crew]:
    """Start so many workers, none for a single one, and end them with the block."""
    processes = []
    try:
        with _interrupts_held():
            for _ in range(count if count > 1 else 0):
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-c", _SERVE],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        env=os.environ
                        | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                    )
                )
        yield Crew(processes)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


@contextlib.contextmanager
def _interrupts_held():
    """Hold the signals back that are the parent's: processes started meanwhile never see them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve() -> None:
    """In a worker: answer what comes in, until nothing can come any more."""
    for number in _PARENTS:
        signal.signal(number, signal.SIG_IGN)
    tasks = queue.SimpleQueue()

    def listen():
        try:
            while True:
                tasks.put(pickle.load(sys.stdin.buffer))
        except (EOFError, pickle.UnpicklingError):  # the end, perhaps in the middle of a task
            os._exit(0)  # whatever is being done, nobody waits for it
        except Exception:
            traceback.print_exc()
            os._exit(1)

    try:
        os.fstat(2)
    except OSError:
        # in the place of a closed standard error, lest answers take it
        os.open(os.devnull, os.O_RDWR)
    # Whatever a function prints must not get among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=listen, daemon=True).start()
    while True:
        function, task = tasks.get()
        try:
            answer = function(*task), None
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = None, error
        try:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # nobody waits for it
