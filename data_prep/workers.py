"""Processes that work for this one: many functions at a time, answers in order.

    with start_workers(4) as crew:
        for answer in crew.in_order(following.read_recording, tasks, ahead=8):
            ...

Such a process imports what its tasks need and nothing else, not even the running script,
so it starts quickly. It ends with the block, and with this process however that ends: its
input closes then. Ctrl-C, SIGTERM and SIGHUP are the parent's affair alone.

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
from typing import IO, Any, NoReturn

from mgjax.errors import InputError

_SERVE = "from data_prep import workers; workers.serve()"
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_PARENTS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
_AT_ONCE = 2  # tasks that a worker holds: the one it does, and the next
# What comes back for a task: its value or, if the function raised, what it raised.
_Answer = tuple[Any, Exception | None]


class Crew:
    """Workers that have started; `start_workers` makes one.

    Without any worker everything is done in this process.
    """

    def __init__(self, processes: list[subprocess.Popen]):
        self._processes = processes
        # (worker, answer) as they come; None for an answer that will not come any more.
        self._answers: queue.SimpleQueue[tuple[int, _Answer | None]] = queue.SimpleQueue()
        for number, process in enumerate(processes):
            # A thread each, as not every system can wait for several pipes at once.
            listener = threading.Thread(
                target=self._listen, args=(number, process.stdout), daemon=True
            )
            listener.start()

    def _listen(self, worker: int, stream: IO[bytes]) -> None:
        with stream:
            try:
                while True:
                    self._answers.put((worker, pickle.load(stream)))
            except Exception:  # its end, perhaps in the middle of an answer
                self._answers.put((worker, None))

    def in_order(self, function: Callable, tasks: Iterable[tuple], ahead: int) -> Iterator:
        """`function(*task)` of every task, in order.

        Args:
            function: of a module that can be imported, so not of a running script; it and
                the tasks are pickled.
            tasks: taken one by one as they are needed.
            ahead: how many answers may wait for an earlier one.

        Raises:
            InputError: a worker died.
            Exception: what the function raised, when its turn comes.
        """
        if not self._processes:
            yield from itertools.starmap(function, tasks)
            return
        tasks = iter(tasks)
        sent = given = 0  # tasks that were sent, and answers that were given to the caller
        answers: dict[int, _Answer] = {}  # by the task's number, those whose turn has not come
        # numbers of the tasks that each worker holds, in order
        doing: list[list[int]] = [[] for _ in self._processes]
        while True:
            load, idlest = min((len(held), worker) for worker, held in enumerate(doing))
            # The next task is taken last, for it may be a while in coming.
            room = sent - given < ahead and load < _AT_ONCE
            if room and (task := next(tasks, None)) is not None:
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

    def _ask(self, worker: int, function: Callable, task: tuple) -> None:
        stream = _pipe(self._processes[worker].stdin)
        # One that has died is noticed where its answer is missing.
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((function, task), stream, pickle.HIGHEST_PROTOCOL)
            stream.flush()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # as `start_workers` asked for pipes
    return stream


@contextlib.contextmanager
def start_workers(count: int) -> Iterator[Crew]:
    """Start so many workers, none for a single one, and end them with the block."""
    processes: list[subprocess.Popen] = []
    # What can be imported here can be imported there; "" is this folder.
    search = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment = os.environ | {"PYTHONPATH": search}
    try:
        with _interrupts_held():
            for _ in range(count if count > 1 else 0):
                worker = subprocess.Popen(
                    [sys.executable, "-c", _SERVE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                )
                processes.append(worker)
        yield Crew(processes)
    finally:
        # All are told before any is waited for.
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                _pipe(process.stdin).close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold the signals back that are the parent's: processes started meanwhile never see them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve() -> NoReturn:
    """In a worker: answer what comes in, until nothing can come any more."""
    for number in _PARENTS:
        signal.signal(number, signal.SIG_IGN)
    answers = _stream_of_answers()
    tasks: queue.SimpleQueue[tuple[Callable, tuple]] = queue.SimpleQueue()
    # A thread of its own, which sees the parent's end while a function is at work.
    threading.Thread(target=_take_tasks, args=(tasks,), daemon=True).start()
    while True:
        function, task = tasks.get()
        answer: _Answer
        try:
            answer = function(*task), None
        except Exception as error:
            # Where it was raised is not pickled along.
            error.add_note(traceback.format_exc())
            answer = None, error
        try:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # nobody waits for it


def _stream_of_answers() -> IO[bytes]:
    """The standard output, which is the answers' alone from now on.

    Whatever a function prints goes to standard error, and does not get among them.
    """
    try:
        os.fstat(2)
    except OSError:
        # in the place of a closed standard error, lest answers take it
        os.open(os.devnull, os.O_RDWR)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _take_tasks(tasks: queue.SimpleQueue[tuple[Callable, tuple]]) -> NoReturn:
    try:
        while True:
            tasks.put(pickle.load(sys.stdin.buffer))
    except (EOFError, pickle.UnpicklingError):  # the end, perhaps in the middle of a task
        os._exit(0)  # whatever is being done, nobody waits for it
    except Exception:
        traceback.print_exc()
        os._exit(1)
