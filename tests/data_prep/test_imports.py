"""Which module of data_prep imports which: no script is imported, and no JAX."""

import ast
import pathlib
import subprocess
import sys

DATA_PREP = pathlib.Path(__file__).resolve().parents[2] / "data_prep"
MODULES = {path.stem: path.read_text(encoding="utf-8") for path in DATA_PREP.glob("[!_]*.py")}
SCRIPTS = {name for name, text in MODULES.items() if 'if __name__ == "__main__":' in text}


def imported(text):
    """Names of all that a module imports, dotted."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_module_imports_a_script():
    assert {"pack_openpose", "agreement", "simulate"} <= SCRIPTS
    for name, text in MODULES.items():
        wrong = imported(text) & {f"data_prep.{script}" for script in SCRIPTS}
        assert not wrong, f"{name}.py imports {wrong}"


def test_no_module_imports_jax(root):
    """Neither by itself nor by way of the library."""
    code = "import importlib, sys\n"
    code += "for name in sys.argv[1:]: importlib.import_module(f'data_prep.{name}')\n"
    code += "sys.exit('jax' in sys.modules)"
    command = [sys.executable, "-c", code, *sorted(MODULES)]
    assert subprocess.run(command, cwd=root).returncode == 0
