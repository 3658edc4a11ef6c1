import pytest

from mgjax.report import pictures


@pytest.fixture
def unwritten(monkeypatch):
    """Pictures are not written: every function returns its figure instead."""
    monkeypatch.setattr(pictures, "save", lambda figure, path, **options: figure)
