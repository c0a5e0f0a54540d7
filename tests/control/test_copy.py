"""Studies copied from one database to another, and databases that are checked."""

import sqlite3

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution

from sweep.cli import run as sweep
from sweep.control.consistency import check_database
from sweep.control.copy import copy_study
from sweep.errors import StoreError, StudyError
from sweep.store import Store
from sweep.store.tables import metrics, runs, studies
from tests.control.memory import comparable, optunas_trials
from tests.control.workers import a_house
from tests.databases import optunas_own
from tests.refusals import refusal_of


@pytest.fixture
def source(tmp_path):
    """A database with a study of every kind of end, of odd values and attributes, and another one."""
    folder = tmp_path / "source"
    folder.mkdir()
    with a_house(folder, options={"trials": 6}) as house:
        worker = house.worker("0")
        for losses in ([1.0, 0.5], [float("inf")], [0.25, float("nan")]):
            worker.begin()
            for epoch, loss in enumerate(losses):
                worker.epoch(epoch, loss, mae=loss)
            state = "PRUNED" if worker.number else "COMPLETE"
            worker.end(state, 0.5 if state == "COMPLETE" else None, "why" if worker.number else None)
        worker.begin()
        worker.attribute("user", "notes", {"a": [1, None]})
        worker.end("FAIL", None, "ValueError: no")
        worker.begin({"x": FloatDistribution(-1.0, 1.0), "late": FloatDistribution(1e-5, 1.0, log=True)})
        worker.epoch(0, 0.125)
        house.gone("0", "killed by SIGKILL", killed=True)
    with a_house(folder, name="other") as house:
        house.worker("0").train()
    return f"sqlite:///{folder}/sweep.db"


def rows(url, table, name):
    """A study's rows of a table of ours, but for its id, and for its folder, which is relative to each database."""
    store = Store(url)
    try:
        study = store.study(name)
        with store.engine.connect() as connection:
            found = connection.execute(sa.select(table).where(table.c.study_id == study.study_id)).mappings()
            own = {"study_id", "directory"} if table is studies else {"study_id"}
            return sorted(str({key: value for key, value in row.items() if key not in own}) for row in found)
    finally:
        store.close()


def place(url, name):
    """A study's folder, and the directories of its runs."""
    store = Store(url)
    try:
        study = store.study(name)
        return study.directory, [found.directory for found in store.runs(study.study_id)]
    finally:
        store.close()


def copy(source, target, name):
    here, there = Store(source), Store(target, create=True)
    try:
        counted = []
        copy_study(here, here.study(name), there, counted.append)
        return sum(counted)
    finally:
        here.close()
        there.close()


def test_a_copy_is_the_study_to_the_last_bit(source, storage_url):
    for name in ("other", "study"):
        assert copy(source, storage_url, name) > 0
        assert comparable(optunas_trials(storage_url, name)) == comparable(optunas_trials(source, name))
        for table in (studies, runs, metrics):
            assert rows(storage_url, table, name) == rows(source, table, name)
        assert place(storage_url, name) == place(source, name)
    store = Store(storage_url)
    assert check_database(store) == []
    store.close()


def test_a_copied_study_goes_on(source, tmp_path, storage_url):
    copy(source, storage_url, "study")
    with a_house(tmp_path, storage_url) as house:
        worker = house.worker("1")
        assert worker.begin()["number"] == 4, "the one that waited"
        worker.end(value=0.5)
        assert worker.train() == 5


def test_a_study_is_copied_once(source, storage_url):
    copy(source, storage_url, "study")
    with pytest.raises(StoreError, match="already has a study"):
        copy(source, storage_url, "study")


def test_a_running_study_is_not_copied(tmp_path, storage_url):
    folder = tmp_path / "source"
    folder.mkdir()
    with a_house(folder) as house:
        house.worker("0").begin()
        with pytest.raises(StudyError, match="while it is running"):
            copy(f"sqlite:///{folder}/sweep.db", storage_url, "study")
    with optunas_own(storage_url) as storage:
        assert optuna.get_all_study_names(storage) == []


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE sweep_runs SET state = 'COMPLETE' WHERE number = 1", "run 1 is COMPLETE, and its trial PRUNED"),
        ("UPDATE sweep_runs SET best = 0.75 WHERE number = 0", "run 0 has 0.75 as the best loss, and 0.5 among"),
        ("UPDATE sweep_runs SET \"values\" = '[0.25]' WHERE number = 0", "run 0 has the value 0.25, and its trial 0.5"),
        ('UPDATE sweep_runs SET "values" = NULL WHERE number = 0', "run 0 has the value none, and its trial 0.5"),
        ("UPDATE sweep_runs SET \"values\" = '[0.5]' WHERE number = 1", "run 1 has the value 0.5, and its trial none"),
        (
            "UPDATE sweep_runs SET constraints = '{\"a\": 1.0}' WHERE number = 0",
            "run 0 has the constraints {'a': 1.0}, and its trial {}",
        ),
        ("UPDATE sweep_runs SET params = '{}' WHERE number = 0", "run 0 has the parameters {}"),
        ("UPDATE sweep_runs SET epoch = 3 WHERE number = 0", "run 0 has finished 3 epochs, and values of 2"),
        ("DELETE FROM sweep_metrics WHERE number = 0 AND epoch = 1", "run 0 has finished 2 epochs, and values of 1"),
        ("DELETE FROM sweep_runs WHERE number = 0 AND study_id = 1", "study: trial 0 has ended and has no run"),
    ],
)
def test_what_is_wrong_with_a_database_is_said(source, statement, wrong):
    store = Store(source)
    try:
        assert check_database(store) == []
        with store.engine.begin() as connection:
            connection.execute(sa.text(statement))
        found = check_database(store)
        assert any(wrong in line for line in found), found
    finally:
        store.close()


def test_the_commands_copy_and_check(source, tmp_path, capsys):
    target = f"sqlite:///{tmp_path}/copy.db"
    assert sweep(["db", "copy", source, target, "--dry-run"]) == 0
    assert "study: 5 runs would be copied" in capsys.readouterr().out
    assert not (tmp_path / "copy.db").exists()
    assert sweep(["db", "copy", source, target]) == 0
    assert sweep(["db", "check", "--storage", target]) == 0
    assert "2 studies, nothing wrong" in capsys.readouterr().out
    assert sweep(["db", "copy", source, target, "--study", "other"]) == 2
    assert sweep(["db", "copy", source, source]) == 2
    assert "another database" in capsys.readouterr().err
    store = Store(target)
    with store.engine.begin() as connection:
        connection.execute(sa.update(runs).values(best=3.0))
    store.close()
    assert sweep(["db", "check", "--storage", target, "--json"]) == 1
    assert '"wrong": [' in capsys.readouterr().out


@pytest.fixture
def targets(source, tmp_path):
    """Databases to which nothing can be copied, by what is said of them."""
    made = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("taken", "optunas", "theirs", "newer")}
    copy(source, made["taken"], "study")
    with optunas_own(made["optunas"]) as storage:
        optuna.create_study(study_name="study", storage=storage)
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        connection.execute("CREATE TABLE theirs (number INTEGER)")
    connection.close()
    Store(made["newer"], create=True).close()
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("UPDATE sweep_alembic_version SET version_num = '9999'")
    connection.close()
    return {
        **made,
        "missing": f"sqlite:///{tmp_path}/none/copy.db",
        "itself": source,
    }


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("taken", "already has a study study"),
        ("optunas", "already has a study study"),
        ("theirs", "it has the table theirs"),
        ("newer", "A newer version of sweep wrote"),
        ("missing", "No such folder"),
        ("itself", "to itself"),
    ],
)
def test_a_dry_run_refuses_what_a_copy_does_and_neither_copies_any(source, targets, capsys, target, said):
    for more in ([], ["--dry-run"]):
        assert sweep(["db", "copy", source, targets[target], *more]) == 2
        assert said in refusal_of(capsys.readouterr().err)
    if target == "taken":
        store = Store(targets[target])
        assert [study.name for study in store.studies()] == ["study"], "nor other, which comes before it"
        store.close()


def test_a_dry_run_refuses_a_running_study_and_leaves_an_older_schema_to_the_copy(tmp_path, capsys):
    source, older = f"sqlite:///{tmp_path}/sweep.db", f"sqlite:///{tmp_path}/older.db"
    with a_house(tmp_path) as house:
        house.worker("0").train()
        assert sweep(["db", "copy", source, older, "--dry-run"]) == 2
        assert "while it is running" in capsys.readouterr().err
    Store(older, create=True).close()
    with sqlite3.connect(tmp_path / "older.db") as connection:
        connection.execute("UPDATE sweep_alembic_version SET version_num = '0001'")
    connection.close()
    assert sweep(["db", "copy", source, older, "--dry-run"]) == 0
    assert "study: 1 run would be copied" in capsys.readouterr().out
