"""`docs/attempts.md`: each attempt to break sweep has its test, which exists, runs and has as many cases as it says."""

import ast

import pytest

from tests.attempts import DOCUMENT, collected, counted, files_of, functions_of, is_skipped, rows

TEXT = DOCUMENT.read_text()
ROWS = rows(TEXT)
LEAST = 300


@pytest.mark.parametrize("file", files_of(TEXT))
def test_each_test_that_is_named_exists_and_is_not_skipped(file):
    named = [name.partition("::")[2] for row in ROWS for name in row.tests if name.startswith(f"{file}::")]
    found = functions_of(file)
    assert set(named) - found.keys() == set()
    assert [name for name in named if is_skipped(found[name])] == []


def test_no_test_is_counted_twice_and_each_row_has_one():
    named = [name for row in ROWS for name in row.tests]
    assert len(named) == len(set(named))
    assert all(row.tests for row in ROWS)


def test_there_are_three_hundred_attempts_at_least():
    total = sum(row.cases for row in ROWS)
    assert total >= LEAST
    assert f"**{total} attempts**" in TEXT


@pytest.mark.slow
def test_each_row_has_as_many_cases_as_pytest_collects():
    assert counted(TEXT, collected(files_of(TEXT))) == TEXT, "run: python -m tests.attempts"


def test_a_test_that_never_runs_is_no_attempt():
    written = {
        "@pytest.mark.skip\ndef test_a(): pass": True,
        "@pytest.mark.skip(reason='x')\ndef test_a(): assert True": True,
        "@pytest.mark.xfail\ndef test_a(): assert True": True,
        "def test_a():\n    'doc'\n    pytest.skip('x')": True,
        "def test_a():\n    'doc'": True,
        "@pytest.mark.slow\ndef test_a(): assert True": False,
        "@pytest.mark.skipif(os.geteuid() == 0, reason='x')\ndef test_a(): assert True": False,
    }
    assert {text: is_skipped(ast.parse(text).body[0]) for text in written} == written
