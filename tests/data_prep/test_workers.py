import operator
import os
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

    with workers.start(2) as crew:
        answers = crew.in_order(time.sleep, tasks(), ahead=5)
        assert next(answers) is None and len(taken) == 5
        assert len(list(answers)) == 19
        # The same workers again.
        assert list(crew.in_order(operator.mul, ((i, i) for i in range(100)), ahead=8)) == [i * i for i in range(100)]


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_function_raises_comes_in_its_turn(count):
    with workers.start(count) as crew:
        answers = crew.in_order(operator.truediv, [(6, 3), (1, 0), (8, 2)], ahead=3)
        assert next(answers) == 2
        with pytest.raises(ZeroDivisionError):
            next(answers)


def test_a_worker_that_dies_is_said():
    with workers.start(2) as crew:
        with pytest.raises(InputError, match="worker process died"):
            list(crew.in_order(os._exit, [(3,)] * 4, ahead=4))


def test_what_a_function_prints_is_not_taken_for_an_answer():
    with workers.start(2) as crew:
        assert list(crew.in_order(print, [("x" * 100,)] * 3, ahead=3)) == [None] * 3


def test_no_process_is_left():
    with workers.start(2) as crew:
        pids = list(crew.in_order(os.getpid, [()] * 8, ahead=8))
        assert len(set(pids)) == 2 and os.getpid() not in pids
    for pid in set(pids):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
