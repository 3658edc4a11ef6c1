import operator
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from data_prep import workers
from mgjax.errors import InputError


def test_answers_come_in_order_and_no_task_is_taken_early():
    taken = []

    def tasks():
        for i in range(20):
            taken.append(i)
            yield (0.2,) if i == 0 else (0.0,)

    with workers.start_workers(2) as crew:
        answers = crew.in_order(time.sleep, tasks(), ahead=5)
        assert next(answers) is None and len(taken) == 5
        assert len(list(answers)) == 19
        # The same workers again.
        assert list(crew.in_order(operator.mul, ((i, i) for i in range(100)), ahead=8)) == [
            i * i for i in range(100)
        ]


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_function_raises_comes_in_its_turn(count):
    with workers.start_workers(count) as crew:
        answers = crew.in_order(operator.truediv, [(6, 3), (1, 0), (8, 2)], ahead=3)
        assert next(answers) == 2
        with pytest.raises(ZeroDivisionError):
            next(answers)


def test_a_worker_that_dies_is_said():
    with workers.start_workers(2) as crew, pytest.raises(InputError, match="worker process died"):
        list(crew.in_order(os._exit, [(3,)] * 4, ahead=4))


def test_what_a_function_prints_is_not_taken_for_an_answer():
    with workers.start_workers(2) as crew:
        assert list(crew.in_order(print, [("x" * 100,)] * 3, ahead=3)) == [None] * 3


def test_nor_where_standard_error_is_closed():
    code = (
        "from data_prep import workers\nwith workers.start_workers(2) as crew:\n"
        "    print(list(crew.in_order(print, [('x' * 100,)] * 3, ahead=3)))"
    )
    result = subprocess.run(
        ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "[None, None, None]\n"


def test_signals_are_the_parents():
    """Ctrl-C, SIGTERM and SIGHUP to all of a group stop the parent, and it stops its workers in
    their turn.
    """
    with workers.start_workers(2) as crew:
        pids = set(crew.in_order(os.getpid, [()] * 8, ahead=8))
        for pid in pids:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
        assert set(crew.in_order(os.getpid, [()] * 8, ahead=8)) == pids


@pytest.mark.parametrize(
    "sent",
    [pickle.dumps((operator.mul, (2, 3))), b"", pickle.dumps((operator.mul, (2, 3)))[:9]],
    ids=["task", "nothing", "half a task"],
)
def test_a_worker_whose_parent_has_gone_says_nothing(sent):
    """Neither where nobody takes its answer any more, nor where a task ends in its middle."""
    worker = subprocess.Popen(
        [sys.executable, "-c", workers._SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    worker.stdout.close()
    worker.stdin.write(sent)
    worker.stdin.flush()
    if not sent or len(sent) < 10:
        worker.stdin.close()
    assert worker.wait(timeout=30) == 0
    assert worker.stderr.read() == b""
    for stream in (worker.stdin, worker.stderr):
        stream.close()


def test_no_process_is_left():
    with workers.start_workers(2) as crew:
        pids = list(crew.in_order(os.getpid, [()] * 8, ahead=8))
        assert len(set(pids)) == 2 and os.getpid() not in pids
    for pid in set(pids):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
