"""A project folder that can only be read: a read-only mount, another user, a PostgreSQL role that may only SELECT."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from sweep.cli import db
from sweep.cli import run as sweep
from sweep.cli.app import COMMANDS
from sweep.errors import ReadOnly, StoreError
from sweep.serve.app import create_app
from sweep.serve.auth import SAFE_METHODS
from sweep.serve.settings import ServeSettings
from sweep.store import Store
from sweep.store.sqlite_file import read_only_uri, unwritable
from tests.databases import optunas_own
from tests.refusals import refusal_of
from tests.serve.asking import Client
from tests.serve.routes import filled, leaves
from tests.store_builder import add_study, build_store, run
from tests.tiny_study import STUDY
from tests.version_0_1 import unpack

ROOT = Path(__file__).parent.parent.parent

READING = {
    "try": ["try", "FOLDER/studies/tiny.py"],
    "runs": ["runs", "tiny", "^tiny", "--where", "x < 2"],
    "show": ["show", "tiny", "0"],
    "best": ["best", "tiny", "--save", "best.npz"],
    "summary": ["summary", "tiny", "--since", "1d"],
    "studies": ["studies"],
    "names": ["names", "tiny"],
    "simulate": ["simulate", "tiny", "--pruner", "nop", "--sampler", "recorded"],
    "export": ["export", "tiny", "--format", "json", "--output", "tiny.json"],
    "rerun": ["rerun", "tiny", "0"],
    "db check": ["db", "check"],
    "db copy": ["db", "copy", "URL", "sqlite:///copy.db"],
    "tensorboard": ["tensorboard", "tiny"],  # see `_SHOWN`
}
"""Every command that only reads, with a command line that must work."""

WRITING = {
    "start": ["start", "FOLDER/studies/tiny.py", "--trials", "5", "--workers", "1"],
    "confirm": ["confirm", "tiny"],
    "protect": ["protect", "tiny", "0"],
    "revive": ["revive", "tiny", "1"],
    "stop": ["stop", "tiny"],
    "import": ["import", "--tensorboard", "FOLDER/runs/tiny", "--objective", "loss", "--direction", "minimize"],
    "rm": ["rm", "tiny", "--yes"],
    "clean": ["clean", "tiny", ".", "--only", "weights", "--yes"],
    "db upgrade": ["db", "upgrade"],
    "db relocate": ["db", "relocate", "tiny", "MOVED", "--yes"],
}
"""Every command that changes something, with a command line that must be refused in a sentence."""

APART = {"serve", "watch", "prune"}
"""Commands that are tested below, or that only do something for a running study."""

WITH_CHILDREN = {"best", "rerun", "tensorboard", "try"}
"""Those of `READING` that start Python, which may be in a folder that is closed to others: that of root."""

# Runs command lines in one process, and TensorBoard until it has loaded the runs.
_SHOWN = """
import contextlib, io, json, sys, traceback
from sweep.cli import run
from sweep.cli.tensorboard import find_board
from sweep.control.tensorboard import TensorBoard

def shown(line, url):
    with TensorBoard(find_board(line[1], None, None, None, url).directory, 16500) as running:
        running.wait()
        return sorted(running.runs())

found = {}
for name, line in json.loads(sys.argv[1]).items():
    out, err, status = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if name == "tensorboard":
                print(shown(line, sys.argv[2]))
                status = 0
            else:
                status = run(line)
        except BaseException:
            traceback.print_exc()
    found[name] = [status, out.getvalue(), err.getvalue()]
json.dump(found, sys.stdout)
"""

Reader = Callable[[dict[str, list[str]]], dict[str, tuple[int, str, str]]]


def as_another_user() -> list[str]:
    """What a command line begins with to run as an ordinary user, who owns no file of these tests."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv to become an ordinary user")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def others_can_start_python() -> bool:
    """Whether an ordinary user can start this Python, also from a process of theirs."""
    line = [*as_another_user(), "sh", "-c", f"{sys.executable} -c ''"]
    return subprocess.run(line, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    """The folder as a read-only mount of itself."""
    bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False)
    if bound.returncode != 0:
        pytest.skip("a folder must be mounted, which takes root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def closed(folder: Path) -> Iterator[None]:
    """The folder as its owner cannot write to it; root can, and becomes another user to read it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    try:
        yield
    finally:
        for each in folders:
            each.chmod(0o755)


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that everybody can enter; those of pytest are its user's alone."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-read-only-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def archive(open_folder: Path) -> Path:
    """A project folder with a finished study, whose database is in WAL mode and has no side files."""
    folder = open_folder / "archive"
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "tiny.py").write_text(STUDY)
    start = ["start", f"{folder}/studies/tiny.py", "--trials", "3", "--workers", "1"]
    assert sweep([*start, "--storage", f"sqlite:///{folder}/sweep.db", "--logdir", f"{folder}/runs"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["runs", "studies", "sweep.db"]
    return folder


def run_lines(lines: dict[str, list[str]], url: str, folder: Path, begin: Sequence[str] = ()) -> dict:
    """What command lines print in a working directory that can be written: status, output, errors."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SWEEP_")}
    environment |= {"PYTHONPATH": str(ROOT), "SWEEP_STORAGE": url, "HOME": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run(
        [*begin, sys.executable, "-c", _SHOWN, json.dumps(lines), url],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=["mount", "user"])
def reader(request, archive, open_folder) -> Iterator[Reader]:
    """Runs command lines on the archive where it can only be read."""
    how = closed if request.param == "user" else mounted_read_only
    begin = as_another_user() if request.param == "user" else []
    with how(archive), tempfile.TemporaryDirectory(dir=open_folder) as text:
        cwd = Path(text)
        cwd.chmod(0o777)
        yield lambda lines: run_lines(lines, f"sqlite:///{archive}/sweep.db", cwd, begin)


def commands() -> set[str]:
    """Every command of the command line; those of a group with its name in front."""
    own = {f"db {command.callback.__name__}" for command in db.app.registered_commands if command.callback}
    return (set(COMMANDS) - {"db"}) | own


def test_each_command_is_known_to_read_or_to_write():
    assert READING.keys() | WRITING.keys() | APART == commands()


def test_every_reading_command_works(reader, archive, request):
    lines = READING
    if request.node.callspec.params["reader"] == "user" and not others_can_start_python():
        lines = {name: line for name, line in READING.items() if name not in WITH_CHILDREN}
    url = f"sqlite:///{archive}/sweep.db"
    found = reader(
        {
            name: [url if word == "URL" else word.replace("FOLDER", str(archive)) for word in line]
            for name, line in lines.items()
        }
    )
    assert {name: (status, err) for name, (status, _, err) in found.items() if status != 0} == {}
    assert "t0001" in found["runs"][1]
    assert "nothing wrong" in found["db check"][1]
    copied = found["db copy"][1] + found["db copy"][2]
    assert "tiny is copied: 3 runs" in copied
    assert "where nothing can be written to note it" in " ".join(copied.split())
    if "tensorboard" in found:
        assert found["tensorboard"][1].count("tiny-x=") == 3
    assert sorted(path.name for path in archive.iterdir()) == ["runs", "studies", "sweep.db"]


def test_every_changing_command_is_refused_in_a_sentence(reader, archive, open_folder):
    (open_folder / "moved" / "tiny").mkdir(parents=True, exist_ok=True)
    words = {"MOVED": f"{open_folder}/moved"}
    lines = {
        name: [words.get(word, word.replace("FOLDER", str(archive))) for word in line] for name, line in WRITING.items()
    }
    found = reader(lines)
    for name, (status, out, err) in found.items():
        assert status == 2, (name, out, err)
        refusal_of(err)
    for name in ("rm", "db relocate"):
        assert "is read-only here" in found[name][2]
    assert "Cannot remove" in found["clean"][2]
    for name in ("start", "import"):
        assert "is read-only here" in found[name][2]


def test_optuna_opens_a_read_only_database_with_the_url_that_is_documented(archive):
    with mounted_read_only(archive):
        url = f"sqlite:///file:{archive}/sweep.db?mode=ro&immutable=1&uri=true"
        storage = optuna.storages.RDBStorage(url)
        study = optuna.load_study(study_name="tiny", storage=storage)
        assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
        storage.remove_session()
        storage.engine.dispose()


# The service.


def refused_changes(client: Client) -> list[tuple[str, str, int, str]]:
    """Each method and path that changes something, with how it is answered."""
    values = {"study": "tiny", "number": "0", "name": "tiny", "path": "x", "file": "tiny.py"}
    paths = client.app.openapi()["paths"]
    asked = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    found = []
    for method, path in asked:
        if method not in SAFE_METHODS:
            answer = client.ask(method, path.format(**values), json={}, params={"confirm": "tiny"})
            found.append((method, path, answer.status_code, answer.json()["error"]))
    return found


def test_a_service_shows_everything_and_refuses_every_change(archive):
    with mounted_read_only(archive):
        url = f"sqlite:///{archive}/sweep.db"
        create_app(ServeSettings(url, archive / "runs", archive / "studies", None)).state.service.store.close()
        client = Client(Store(url), archive, studies=archive / "studies")
        try:
            for path in ("/", "/studies/tiny", "/studies/tiny/runs/0", "/api/studies/tiny/runs"):
                assert client.get(path).status_code == 200, path
            page = client.get("/studies/tiny").text
            assert 'data-action="resume" disabled data-closed title="The database' in page
            assert 'data-action="delete" disabled' in page
            assert 'id="prune" disabled' in page
            assert "Read-only: nothing can be started" in page
            assert 'id="start-now" disabled data-closed' in client.get("/start", file="tiny.py").text
            changes = refused_changes(client)
            assert len(changes) >= 6
            assert {status for *_, status, _ in changes} == {403}
            assert all("This service only reads. The database" in said for *_, said in changes)
        finally:
            client.close()


def test_every_address_of_a_service_answers(archive):
    """All that can be read, figures that Optuna draws among them; streams and TensorBoard do not end by themselves."""
    with mounted_read_only(archive):
        client = Client(Store(f"sqlite:///{archive}/sweep.db"), archive, studies=archive / "studies")
        try:
            paths = {
                filled(path, study="tiny", name="tiny") for method, path, _ in leaves(client.app) if method == "GET"
            }
            asked = {path for path in paths if "tensorboard" not in path and "events" not in path}
            assert len(asked) > 20
            found = {path: client.get(path).status_code for path in asked}
            assert {path: status for path, status in found.items() if status >= 500} == {}
            figure = client.get("/studies/tiny/figures/history")
            assert (figure.status_code, "data" in figure.json()) == (200, True), figure.text
        finally:
            client.close()


def test_a_service_that_can_write_greys_nothing_out(archive):
    client = Client(Store(f"sqlite:///{archive}/sweep.db"), archive, studies=archive / "studies")
    try:
        page = client.get("/studies/tiny").text
        assert "Read-only" not in page
        assert "data-closed" not in page
    finally:
        client.close()


# SQLite's side files.


def killed_writer(folder: Path) -> Path:
    """A database in a folder with a study that is only in its side files, as after a kill."""
    store = build_store(folder)
    store.close()
    (folder / "made").mkdir()
    held = sqlite3.connect(folder / "sweep.db")  # keeps the side files when the others leave
    held.execute("SELECT count(*) FROM sweep_studies").fetchall()
    store = Store(f"sqlite:///{folder}/sweep.db")
    add_study(store, runs=[run(0, 0.5)])
    store.close()
    for name in ("sweep.db", "sweep.db-wal", "sweep.db-shm"):
        shutil.copy(folder / name, folder / "made" / name)
        (folder / "made" / name).chmod(0o644)
    held.close()
    return folder / "made"


@pytest.fixture
def killed(open_folder) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=open_folder) as text:
        folder = Path(text)
        folder.chmod(0o755)
        yield killed_writer(folder)


@pytest.mark.parametrize("left", ["both", "wal"])
def test_what_is_only_in_the_side_files_is_read_or_is_said_to_be_missing(killed, left, tmp_path):
    if left == "wal":
        (killed / "sweep.db-shm").unlink()
    with closed(killed):
        found = run_lines(
            {"studies": ["studies"]}, f"sqlite:///{killed}/sweep.db", Path(tempfile.gettempdir()), as_another_user()
        )
    status, out, err = found["studies"]
    if left == "both":
        assert (status, "diabetes" in out) == (0, True), err
    else:
        assert status == 2
        said = refusal_of(err)
        assert (
            "sweep.db are in sweep.db-wal, which cannot be used here: sweep.db-shm is missing or cannot be read."
            in said
        )
        assert "Copy sweep.db and sweep.db-wal to a local folder" in said


def test_a_writer_that_begins_later_is_seen(archive, tmp_path):
    """Each connection of a reader looks at the side files anew, so that no page of an old state is kept."""
    shutil.copytree(archive, tmp_path / "copy")
    path = tmp_path / "copy" / "sweep.db"
    assert read_only_uri(path, network=False).endswith("?mode=ro&immutable=1")
    writer = sqlite3.connect(path)
    writer.execute("UPDATE sweep_studies SET beat = beat + 1")
    writer.commit()
    assert read_only_uri(path, network=False).endswith("?mode=ro")
    with pytest.raises(StoreError, match="network file system"):
        read_only_uri(path, network=True)
    writer.close()
    assert read_only_uri(path, network=True).endswith("?mode=ro&immutable=1")
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=DELETE")
    writer.close()
    assert read_only_uri(path, network=False).endswith("?mode=ro")


def test_a_read_only_database_on_a_network_file_system_is_read_and_a_writable_one_is_not(archive, monkeypatch):
    monkeypatch.setattr("sweep.store.sqlite_file.file_system", lambda path: "nfs4")
    with pytest.raises(StoreError, match="network file system"):
        Store(f"sqlite:///{archive}/sweep.db")
    with mounted_read_only(archive):
        store = Store(f"sqlite:///{archive}/sweep.db")
        assert [study.name for study in store.studies()] == ["tiny"]
        store.close()


def test_a_read_only_database_of_an_earlier_version_is_to_be_copied_and_migrated(open_folder):
    folder = open_folder / "earlier"
    folder.mkdir()
    unpack(folder)
    with mounted_read_only(folder), pytest.raises(StoreError, match="Copy it to where you can write, and migrate"):
        Store(f"sqlite:///{folder}/sweep.db")


def test_a_command_to_a_study_is_refused_before_it_is_written(archive):
    assert unwritable(archive / "sweep.db") is None
    with mounted_read_only(archive):
        assert "its file system is mounted so" in str(unwritable(archive / "sweep.db"))
        store = Store(f"sqlite:///{archive}/sweep.db")
        with pytest.raises(ReadOnly, match="is read-only here: its file system is mounted so"):
            store.command(store.study("tiny").study_id, "stop", reason="by hand")
        store.close()


# PostgreSQL.


@pytest.fixture
def select_only(postgresql) -> Iterator[str]:
    """The URL of a database with a study, for a role that may only read."""
    url = postgresql.create_with_schema()
    store = Store(url)
    add_study(store, "tiny", runs=[run(0, 0.5)])
    name = store.url.database
    with store.engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE reader_{name} LOGIN"))
        connection.execute(sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_{name}"))
    yield store.url.set(username=f"reader_{name}").render_as_string(hide_password=False)
    store.close()


def test_a_role_that_may_only_select_reads_everything_and_changes_nothing(select_only, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEP_STORAGE", select_only)
    for line in (["studies"], ["runs", "tiny"], ["show", "tiny", "0"], ["best", "tiny"], ["export"], ["names", "tiny"]):
        assert sweep(line) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert sweep(["rm", "tiny", "--yes"]) == 2
    assert "who may only read it" in refusal_of(capsys.readouterr().err.splitlines()[0])
    client = Client(Store(select_only), tmp_path)
    try:
        assert client.get("/studies/tiny").status_code == 200
        assert {status for *_, status, _ in refused_changes(client)} == {403}
    finally:
        client.close()
    create_app(ServeSettings(select_only, tmp_path, None, None)).state.service.store.close()
    with optunas_own(select_only) as storage:
        assert storage.get_all_studies() == []  # the builder writes our tables alone


def test_a_server_that_takes_no_changes_is_read_only(select_only):
    store = Store(f"{select_only}&options=-c%20default_transaction_read_only%3Don")
    assert "takes no changes: it is read-only" in str(store.read_only)
    store.close()
