"""Opening databases: URLs, what is refused, what is created, by one process or many at once."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
import sqlalchemy as sa

from sweep.errors import StoreError
from sweep.finding import Finding
from sweep.store import RepeatRecord, Store, schema
from sweep.store.database import connect, has_schema, parse_url, writing
from tests.databases import optunas_own
from tests.store_builder import add_study, build_store, run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///sweep.db", "sqlite:///sweep.db"),
        ("sweep.db", "sqlite:///sweep.db"),
        ("sqlite:////tmp/a b.db", "sqlite:////tmp/a b.db"),
        ("sqlite+aiosqlite:///sweep.db", "sqlite:///sweep.db"),
        ("postgresql://user:secret@host:5433/sweep", "postgresql+psycopg://user:***@host:5433/sweep"),
        ("postgres://host/sweep", "postgresql+psycopg://host/sweep"),
        ("postgresql+psycopg2://host/sweep", "postgresql+psycopg://host/sweep"),
    ],
)
def test_a_storage_is_a_url_or_a_path(text, expected):
    assert parse_url(text).render_as_string(hide_password=True) == expected


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "''"),
        ("sqlite://", "'sqlite://'"),
        ("sqlite:///:memory:", "':memory:'|sqlite:///:memory:"),
        ("mysql://host/x", "'mysql'"),
        ("postgresql://host:port/x", "'postgresql://host:port/x'"),
        ("a:b", "'a:b'"),
    ],
)
def test_what_is_no_storage_is_refused(text, got):
    with pytest.raises(StoreError) as refusal:
        parse_url(text)
    assert any(part in str(refusal.value) for part in got.split("|"))
    assert "\n" not in str(refusal.value)


def test_a_new_database_holds_optunas_tables_and_ours(empty_storage_url):
    url = parse_url(empty_storage_url)
    assert has_schema(url) is False
    Store(empty_storage_url, create=True).close()
    assert has_schema(url) is True
    with optunas_own(empty_storage_url) as storage:
        assert optuna.create_study(storage=storage, study_name="theirs").trials == []
    store = Store(empty_storage_url)
    assert store.studies() == []
    store.close()


def test_a_database_with_studies_of_optuna_is_joined(empty_storage_url):
    with optunas_own(empty_storage_url) as storage:
        optuna.create_study(storage=storage, study_name="theirs").add_trial(optuna.create_trial(value=1.0))
    assert has_schema(parse_url(empty_storage_url)) is False
    Store(empty_storage_url, create=True).close()
    with optunas_own(empty_storage_url) as storage:
        assert optuna.load_study(storage=storage, study_name="theirs").best_value == 1.0


def test_creating_a_database_that_is_there_changes_nothing(storage_url):
    Store(storage_url, create=True).close()
    store = Store(storage_url)
    assert store.studies() == []
    store.close()


def test_threads_that_create_one_database_at_once_all_find_it(empty_storage_url):
    def create(_: int) -> list[object]:
        store = Store(empty_storage_url, create=True)
        try:
            return list(store.studies())
        finally:
            store.close()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(create, range(6))) == [[]] * 6


@pytest.mark.slow
def test_twelve_processes_that_create_one_database_at_once_all_find_it(empty_storage_url):
    program = "import sys; from sweep.store import Store; print(Store(sys.argv[1], create=True).studies())"
    command = [sys.executable, "-c", program, empty_storage_url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(12)]
    said = [process.communicate() for process in processes]
    assert [out for out, _ in said] == [b"[]\n"] * 12, said


def test_a_reader_waits_for_no_writer(storage_url):
    store = Store(storage_url)
    with writing(store.engine) as connection:
        connection.execute(sa.text("DELETE FROM sweep_runs"))
        assert store.studies() == []
    store.close()


def test_a_commit_of_sqlite_is_on_the_disk(tmp_path):
    store = build_store(tmp_path)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    store.close()


def refused(storage: str, *, create: bool = True) -> str:
    """The line that says why a storage is refused, both when it is looked at and when it is opened."""
    with pytest.raises(StoreError) as at_open:
        connect(parse_url(storage), create=create)
    if create:
        with pytest.raises(StoreError) as at_look:
            has_schema(parse_url(storage))
        assert str(at_look.value) == str(at_open.value)
    assert "\n" not in str(at_open.value)
    return str(at_open.value)


def test_a_database_that_is_not_there_is_not_made_by_a_reader(tmp_path):
    assert "No database at" in refused(f"sqlite:///{tmp_path}/none.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named_with_the_command_that_makes_it(tmp_path):
    assert f"Run: mkdir -p {tmp_path}/none" in refused(f"sqlite:///{tmp_path}/none/sweep.db")


def test_a_directory_is_no_database(tmp_path):
    assert "is a directory, not an SQLite database" in refused(f"sqlite:///{tmp_path}")


def broken(tmp_path, kind: str) -> str:
    path = tmp_path / "sweep.db"
    build_store(tmp_path).close()
    for beside in tmp_path.glob("sweep.db-*"):
        beside.unlink()
    content = path.read_bytes()
    if kind == "text":
        content = b"a text file that somebody keeps here"
    elif kind == "truncated":
        content = content[: len(content) // 3]
    elif kind == "corrupt":
        content = content[:100] + b"\xa5" * 4000 + content[4100:]
    path.write_bytes(content)
    return f"sqlite:///{path}"


@pytest.mark.parametrize("kind", ["text", "truncated", "corrupt"])
@pytest.mark.parametrize("create", [True, False])
def test_a_broken_file_is_refused_and_left_as_it_is(tmp_path, kind, create):
    url = broken(tmp_path, kind)
    before = (tmp_path / "sweep.db").read_bytes()
    assert "this one was not changed" in refused(url, create=create).lower()
    assert (tmp_path / "sweep.db").read_bytes() == before


def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (number INTEGER)")
    connection.close()
    before = path.read_bytes()
    assert "it has the table theirs" in refused(f"sqlite:///{path}")
    assert "has none of sweep's tables" in refused(f"sqlite:///{path}", create=False)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["theirs.db"]


def test_in_postgresql_tables_of_others_may_stand_beside_ours_but_not_under_optunas_names(postgresql):
    def execute(url: str, statement: str) -> None:
        engine = sa.create_engine(parse_url(url))
        with engine.begin() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()

    beside, clashing = postgresql.create(), postgresql.create()
    execute(beside, "CREATE TABLE invoices (number INTEGER)")
    Store(beside, create=True).close()
    execute(clashing, "CREATE TABLE trials (defendant TEXT)")
    assert "it has the table trials" in refused(clashing)


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_sqlite_on_a_network_file_system_is_refused_with_what_to_do(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("sweep.store.sqlite_file.file_system", lambda path: kind)
    said = refused(f"sqlite:///{tmp_path}/sweep.db")
    assert "network file system" in said
    assert kind in said
    assert "postgresql://" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Cannot write to" in refused(f"sqlite:///{tmp_path}/closed/sweep.db")


def test_a_server_that_does_not_answer_is_refused_without_the_password():
    said = refused("postgresql://user:secret@127.0.0.1:1/sweep")
    assert "Cannot use the database" in said
    assert "secret" not in said


def set_revision(url: str, revision: str) -> None:
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{revision}'"))
    engine.dispose()


def test_a_database_of_a_newer_sweep_is_refused(storage_url):
    set_revision(storage_url, "9999")
    for create in (True, False):
        with pytest.raises(StoreError, match="A newer version of sweep wrote"):
            connect(parse_url(storage_url), create=create)


def test_a_database_of_an_older_schema_is_refused_with_the_command_that_migrates_it(storage_url, monkeypatch):
    monkeypatch.setattr(schema, "HEAD", "9999")
    with pytest.raises(StoreError, match="migrate it with: sweep db upgrade --storage"):
        connect(parse_url(storage_url), create=False)


def test_a_database_without_verdicts_is_migrated_and_keeps_its_reasons(storage_url):
    store = Store(storage_url)
    study = add_study(store, runs=[run(0, state="PRUNED", reason="median: 0.9 is above 0.3"), run(1, 0.5)])
    with store.engine.begin() as connection:
        for column in ("verdict", "rungs"):
            connection.execute(sa.text(f"ALTER TABLE sweep_runs DROP COLUMN {column}"))
        connection.execute(sa.text("ALTER TABLE sweep_studies DROP COLUMN beaten"))
        connection.execute(sa.text("DROP TABLE sweep_repeats"))
    store.close()
    set_revision(storage_url, "0004")
    store = Store(storage_url, create=True)
    assert schema.revision(store.engine) == schema.HEAD
    found = [(made.why, made.verdict) for made in store.runs(study.study_id)]
    assert found == [("median: 0.9 is above 0.3", None), (None, None)]
    store.close()


@pytest.mark.parametrize(
    ("pruner", "now"),
    [
        ("asha", "halving"),
        ("Asha(min_resource=2)", "halving(min_resource=2)"),
        ("patient(asha(1, 4), patience=3)", "patient(halving(1, 4), patience=3)"),
        ("median", "median"),
    ],
)
def test_a_study_that_was_begun_when_asha_was_halving_keeps_halving(storage_url, pruner, now):
    store = Store(storage_url)
    study = add_study(store, runs=[run(0, 0.5)], pruner=pruner)
    with store.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE sweep_runs DROP COLUMN rungs"))
        connection.execute(sa.text("DROP TABLE sweep_repeats"))
    store.close()
    set_revision(storage_url, "0007")
    store = Store(storage_url, create=True)
    assert store.study(study.name).declaration.pruner == now
    store.close()


def test_a_database_without_repeats_is_migrated(storage_url):
    store = Store(storage_url)
    study = add_study(store, runs=[run(0, 0.5)])
    with store.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE sweep_repeats"))
    store.close()
    set_revision(storage_url, "0008")
    store = Store(storage_url, create=True)
    assert schema.revision(store.engine) == schema.HEAD
    store.record_repeats(study.study_id, [RepeatRecord(0, 1, seed=7, value=0.25)])
    (found,) = store.runs(study.study_id)
    assert (found.mean, found.n) == (0.25, 1)
    store.close()


def test_tables_of_another_optuna_are_refused(storage_url, monkeypatch):
    engine = sa.create_engine(parse_url(storage_url))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v1.3.0.a'"))
    engine.dispose()
    monkeypatch.setattr(schema, "_is_made", lambda engine: False)
    with pytest.raises(StoreError, match="Run: optuna storage upgrade"):
        connect(parse_url(storage_url), create=True)


def test_a_database_of_the_first_schema_is_migrated_with_all_that_is_in_it(storage_url):
    store = Store(storage_url)
    study = add_study(store, runs=[run(0, 0.5)])
    with store.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE sweep_runs DROP COLUMN snapshot"))
        new = ("findings", "revives", "interruptions", '"values"', "constraints", "trainings", "verdict", "rungs")
        for column in new:
            connection.execute(sa.text(f"ALTER TABLE sweep_runs DROP COLUMN {column}"))
        connection.execute(sa.text("ALTER TABLE sweep_runs ADD COLUMN finding TEXT"))
        connection.execute(sa.text("UPDATE sweep_runs SET finding = 'no symmetry breaking: all; do'"))
        connection.execute(sa.text("DROP TABLE sweep_snapshots"))
        connection.execute(sa.text("DROP TABLE sweep_repeats"))
        connection.execute(sa.text("ALTER TABLE sweep_studies DROP COLUMN beaten"))
    store.close()
    set_revision(storage_url, "0001")
    with pytest.raises(StoreError, match=f"its schema is 0001, and this one needs {schema.HEAD}"):
        Store(storage_url)
    store = Store(storage_url, create=True)
    (found,) = store.runs(study.study_id)
    assert (found.number, found.best, found.snapshot) == (0, 0.5, None)
    assert found.findings == [Finding("no-symmetry-breaking", "all", "do")]
    assert store.snapshot("0" * 64) is None
    store.close()
