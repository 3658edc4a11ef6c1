import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

# Under nohup a hang-up is ignored, and in a shell's background Ctrl-C is, also by every process
# that is started here: the tests of them could not pass or not fail.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What XLA has compiled in a session is not compiled again in it, nor by the processes it starts.
_COMPILED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}

ROOT = pathlib.Path(__file__).resolve().parent.parent


def pytest_configure(config):
    """Give the session a compilation cache, unless the environment names one."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="mgjax-compiled-")
    # Before any test imports JAX, which reads them then.
    os.environ.update(_COMPILED, JAX_COMPILATION_CACHE_DIR=folder)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def models_of_one_test():
    """Models that a test, or an example in a docstring, registers are unknown to the next one."""
    yield
    registry = sys.modules.get("mgjax.models")  # not imported here, for its JAX
    if registry is not None:
        for name, model in list(registry.MODELS.items()):
            if not model.__module__.startswith("mgjax.models."):
                del registry.MODELS[name]


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
