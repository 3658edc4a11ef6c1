"""What a wrong input is said with."""

import pickle

from mgjax.errors import LONGEST, InputError, short


def test_a_message_that_quotes_something_endless_keeps_its_ends():
    error = InputError("a.csv, line 3: " + "9" * 10**6 + ", expected a number")
    assert len(str(error)) <= LONGEST + 3
    assert str(error).startswith("a.csv, line 3: 9") and str(error).endswith("9, expected a number")
    assert str(InputError("short")) == "short"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_value_in_a_message_is_short():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert short("a") == "'a'"
    assert short(nested) == "a list"
    assert len(short("x" * 1000)) == 80 and short("x" * 1000).endswith("...")
