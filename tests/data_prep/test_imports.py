"""Importing data_prep imports no JAX."""

import subprocess
import sys


def test_no_module_imports_jax(root):
    """Neither by itself nor by way of the library."""
    modules = sorted(path.stem for path in (root / "data_prep").glob("[!_]*.py"))
    code = "import importlib, sys\n"
    code += "for name in sys.argv[1:]: importlib.import_module(f'data_prep.{name}')\n"
    code += "sys.exit('jax' in sys.modules)"
    assert "pack_openpose" in modules
    command = [sys.executable, "-c", code, *modules]
    assert subprocess.run(command, cwd=root).returncode == 0
