"""`docs/reliability.md`: each fault has its tests, by names that exist."""

import ast
import re
from pathlib import Path

import pytest

from sweep.core.policy import RULINGS

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "reliability.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FAULTS = 52


def defined(file: str) -> set[str]:
    """The names of a file's tests."""
    found = ast.parse((ROOT / file).read_text()).body
    return {node.name for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED.findall(DOCUMENT)}))
def test_each_test_that_is_named_exists(file):
    named = {name for of, name in NAMED.findall(DOCUMENT) if of == file}
    assert named - defined(file) == set()


def test_each_fault_has_a_test():
    rows = dict(re.findall(r"^\| (\d+) \|(.*)$", DOCUMENT, re.MULTILINE))
    assert list(rows) == [str(number) for number in range(1, FAULTS + 1)]
    assert [number for number, row in rows.items() if not NAMED.search(row)] == []


def test_no_test_is_named_by_its_file_alone():
    assert re.findall(r"test_\w+\.py(?!::)", DOCUMENT) == []


def test_what_follows_from_a_fault_is_what_the_policy_says():
    said = [f"| {fault.value} | {ruling.by.value} | {ruling.then.value} |" for fault, ruling in RULINGS.items()]
    section = DOCUMENT.partition("## What follows from a fault")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert [NAMED.sub("", row).removesuffix(" `` |").removesuffix("  |") for row in rows] == said
    assert [row for row in rows if not NAMED.search(row)] == []
