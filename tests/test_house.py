"""The house: which part of `sweep/` may import which, and that what only reads loads no TensorFlow."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sweep"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {
    "errors",
    "failures",
    "names",
    "objective",
    "architecture",
    "code",
    "commands",
    "conditions",
    "core.pruners",
    "declaration",
    "descriptors",
    "distribution",
    "option_values",
    "passwords",
    "provenance",
    "options",
    "quantities",
    "study_file",
    "finding",
    "imported_specs",
    "records",
    "race",
    "racing",
    "rundir",
    "scratch",
    "snapshot",
    "sources",
    "store",
    "tensorboard",
    "wire",
    "spec_objects",
    "specs",
    "stop_rules",
    "waiting",
    "words",
}
# What each part may import besides itself, the ground floor, and what is no part of this package.
UPSTAIRS = {
    "worker": set(),
    "train": {"worker"},
    "core": set(),
    "control": {"core", "worker"},
    "cluster": {"control", "core"},
    "view": set(),
    "cli": {"control", "view", "serve", "simulate"},
    "serve": {"control", "view"},
    "simulate": {"control", "core"},
    "__main__": {"cli"},
    "running": {"cli", "control"},
    "models": {"control", "view", "train", "worker"},
    "held_out": {"models", "train"},
    "study": {"running"},
    "keras_tuner": {"study", "train"},
    "": set(),  # sweep/__init__.py, whose names are imported when they are first used
}
# What a part of the ground floor may import, if that is less than all of it.
BELOW = {"core.pruners": {"objective", "words"}, "race": set()}
MAY_LOAD = {"tensorflow": {"train"}, "keras": {"train"}, "ray": {"cluster"}}
MAY_NOT_LOAD = {name: {"optuna", "threading", "time", "sqlalchemy"} for name in ("core", "race")}


def part(module: Path) -> str:
    """The module or package of `sweep/` that a file belongs to; empty for `sweep/__init__.py`."""
    return part_named(module.relative_to(PACKAGE).with_suffix("").parts)


def part_named(names: Sequence[str]) -> str:
    """The part that a module belongs to, by the parts of its dotted name within `sweep`."""
    if tuple(names[:2]) == ("core", "pruners"):
        return "core.pruners"
    return "" if names[0] == "__init__" else names[0]


def imports(node: ast.AST) -> Iterator[str]:
    """Each dotted name that is imported at run time, also within functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imports(child)


def strays(module: Path) -> list[str]:
    """The imports of a file that the house does not allow."""
    here = part(module)
    allowed = {here} | (UPSTAIRS[here] | GROUND if here in UPSTAIRS else BELOW.get(here, GROUND))
    found = []
    for name in imports(ast.parse(module.read_text())):
        first, _, rest = name.partition(".")
        is_above = first == "sweep" and part_named(rest.split(".")) not in allowed
        is_impure = first in MAY_NOT_LOAD.get(here.partition(".")[0], ())
        if is_above or is_impure or here not in MAY_LOAD.get(first, {here}):
            found.append(name)
    return found


def dotted(module: Path) -> str:
    """The name by which a file is imported."""
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph(modules: dict[str, str]) -> dict[str, set[str]]:
    """Which modules each one imports, by their dotted names, from their sources."""
    found: dict[str, set[str]] = {}
    for name, source in modules.items():
        imported = set(imports(ast.parse(source)))
        found[name] = {text if text in modules else text.rpartition(".")[0] for text in imported} & modules.keys()
    return found


def cycle(modules: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, the first one again at the end; empty if there are none."""
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_below_it(module):
    assert strays(module) == []


def test_no_files_import_each_other_in_turn():
    assert cycle(graph({dotted(module): module.read_text() for module in MODULES})) == []


def test_a_cycle_is_found_also_where_a_function_imports():
    sources = {"a.b": "import a.c", "a.c": "from a.d import x", "a.d": "def f():\n    from a import b", "a": ""}
    assert set(cycle(graph(sources))) == {"a.b", "a.c", "a.d"}
    assert cycle(graph({**sources, "a.d": ""})) == []


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(dotted(module))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_what_a_user_gives_is_never_checked_by_an_assert():
    with_asserts = [
        f"{module.relative_to(PACKAGE)}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert with_asserts == []


def test_no_module_is_called_after_nothing():
    assert {module.stem for module in MODULES} & {"utils", "util", "helpers", "common", "misc"} == set()


def test_imports_are_found_wherever_they_stand():
    source = """
import os.path
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from sweep.train.fit import fit
def run():
    from sweep.control import start
"""
    assert list(imports(ast.parse(source))) == ["os.path", "typing.TYPE_CHECKING", "sweep.control.start"]


@pytest.mark.parametrize(
    "statement",
    [
        "import sweep",
        "import sweep; sweep.Study, sweep.SweepError, sweep.from_keras_tuner",
        "import sweep.cli; sweep.cli.main",
        "import sweep.control.start",
        "import sweep.serve.app",
        "import sweep.keras_tuner",
        "import sweep.simulate.simulated",
    ],
)
def test_what_does_not_train_loads_neither_tensorflow_nor_keras_nor_ray(statement):
    program = f"import sys; {statement}; print(sorted({{'tensorflow', 'keras', 'ray'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_nothing_of_the_package_is_imported_with_it():
    program = "import sys, sweep; print([name for name in sys.modules if name.startswith('sweep.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
