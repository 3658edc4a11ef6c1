import pathlib
import signal

import pytest

# Under nohup a hang-up is ignored, also by every process that is started here: the tests of one
# could not fail.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real recordings that lie beside the checkout where the project is developed, and nowhere
    else.
    """
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"real recordings are not here ({folder.parent.name}/{folder.name} beside the checkout)"
        )
    return folder
