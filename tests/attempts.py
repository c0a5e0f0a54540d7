"""The table of attempts to break sweep, `docs/attempts.md`, counted against the tests that it names.

`python -m tests.attempts` writes how many cases each row has, and their sums, into the document. To add an attempt,
write its test, add a row with any number, and run it.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "attempts.md"

_ROW = re.compile(r"^\| (?P<tried>[^|]+) \| (?P<expected>[^|]+) \| (?P<cases>\d+) \| (?P<tests>`tests/[^|]+`) \|$")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
_SUM = re.compile(r"\*\*\d+ attempts\*\*")
_SKIPS = {"skip", "xfail"}


@dataclass(frozen=True)
class Row:
    """A row of the document: its line, how many cases it says it has, and its tests as `file::name`."""

    line: str
    cases: int
    tests: list[str]


def rows(text: str) -> list[Row]:
    """The rows of a document.

    Raises:
        ValueError: a line of a table is no row.
    """
    found = []
    for line in text.splitlines():
        if not line.startswith("|") or line.startswith(("| what is tried", "|---")):
            continue
        row = _ROW.match(line)
        if row is None:
            raise ValueError(f"no row: {line}")
        found.append(Row(line, int(row["cases"]), ["::".join(test) for test in _TEST.findall(row["tests"])]))
    return found


def functions_of(file: str) -> dict[str, ast.FunctionDef]:
    """The tests of a file by name, those of a class as `Class::name`."""
    found = {}
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}": each for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def is_skipped(test: ast.FunctionDef) -> bool:
    """Whether a test is skipped, or expected to fail, wherever it runs."""
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in test.decorator_list]
    body = [node for node in test.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return any(ast.unparse(mark).rpartition(".")[2] in _SKIPS for mark in marks) or (
        not body or ast.unparse(body[0]).startswith("pytest.skip(")
    )


def collected(files: list[str]) -> Counter[str]:
    """How many cases each test of some files has, as pytest collects them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "--no-header", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Counter(line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line)


def counted(text: str, cases: Mapping[str, int]) -> str:
    """A document with the number of cases of each row, and the sum of all."""
    total = 0
    for row in rows(text):
        count = sum(cases[test] for test in row.tests)
        total += count
        text = text.replace(row.line, row.line.replace(f" | {row.cases} | `", f" | {count} | `"))
    return _SUM.sub(f"**{total} attempts**", text)


def files_of(text: str) -> list[str]:
    """The files whose tests a document names."""
    return sorted({test.partition("::")[0] for row in rows(text) for test in row.tests})


def main() -> None:
    """Count, and write the document."""
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(counted(text, collected(files_of(text))))


if __name__ == "__main__":
    main()
