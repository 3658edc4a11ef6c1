"""The examples in docstrings say what really happens, and what a user calls first has one."""

import doctest
import importlib.util
import pathlib
import pkgutil

import pytest

import data_prep
import mgjax


def modules():
    """Every module of the library with an example in it, by name."""
    found = []
    for package in (mgjax, data_prep):
        found += [package.__name__]
        found += [
            each.name for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        ]
    return [name for name in found if ">>>" in source(name)]


def source(name):
    return pathlib.Path(importlib.util.find_spec(name).origin).read_text()


@pytest.mark.parametrize("name", modules())
def test_examples_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed
    assert not list(tmp_path.iterdir()), "an example left files behind"
