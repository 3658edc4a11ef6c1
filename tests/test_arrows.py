"""Imports run one way, as docs/pages/house.md says: a room knows those it stands on alone."""

import ast
import functools
import graphlib

import pytest

# What a package may import of the tree, beside itself. Modules of mgjax that are in no package
# are called by their own names.
GROUND = {"errors", "files", "progress"}
SKELETONS = GROUND | {"skeleton", "layouts", "sides"}
STORES = SKELETONS | {
    "store", "store_writer", "store_format", "store_checks", "hdf5", "rehearsal", "protocols",
}  # fmt: skip
PREPARED = STORES | {
    "options", "recipes", "nn", "transforms", "random_transforms", "preparation", "batching",
    "blocks",
}  # fmt: skip
ARROWS = {
    "nn": {"errors"},
    "models": SKELETONS | {"nn", "options", "transforms", "preparation"},
    "training": PREPARED | {"models"},
    "report": SKELETONS,
    "evaluation": PREPARED | {"models", "training", "report"},
    "data_prep": STORES | {"report", "scripts"},
}


def files_of(root):
    """Every module of the library by its dotted name, packages by their __init__."""
    found = {}
    for package in ("mgjax", "data_prep"):
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room(name):
    """The package of a module; of one that lies in mgjax itself, its own name."""
    parts = name.split(".")
    return parts[0] if parts[0] == "data_prep" else parts[1] if len(parts) > 1 else parts[0]


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree, names, everywhere):
    """Modules of the library that one imports: at its top, or also within functions."""
    found = set()
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{each.name}" for each in node.names}
            # `from package import module` asks for the module, not for what the package passes on.
            found |= inside if inside <= names else {node.module} | inside
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not everywhere:
            continue
        elif not is_type_checking(node):
            todo += ast.iter_child_nodes(node)
    # mgjax's own imports are lazy.
    return found & names - {"mgjax"}


@pytest.fixture(scope="module")
def graph(root):
    """A function: the imports of every module, those within functions too or not."""
    files = files_of(root)
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}

    @functools.cache
    def of(everywhere):
        return {name: imports(tree, set(files), everywhere) for name, tree in trees.items()}

    return of


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_imports_what_it_stands_on_alone(graph, package):
    seen = 0
    for name, imported in graph(True).items():
        if room(name) == package:
            seen += 1
            against = {each for each in imported if room(each) not in ARROWS[package] | {package}}
            assert not against, f"{name} imports {', '.join(sorted(against))}"
    assert seen


def test_no_import_comes_back_to_where_it_began(graph):
    # Raises CycleError where one does.
    order = list(graphlib.TopologicalSorter(graph(False)).static_order())
    assert len(order) == len(graph(False))


def test_no_module_imports_a_script(root, graph):
    scripts = {
        name
        for name, path in files_of(root).items()
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
    }
    assert {f"data_prep.{name}" for name in ("pack_openpose", "agreement", "simulate")} <= scripts
    for name, imported in graph(True).items():
        assert not imported & scripts, f"{name} imports {imported & scripts}"
