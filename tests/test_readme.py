"""README.md, followed: its commands in order, as a reader types them, and the Python blocks of all documents."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control.started import wait_for

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SECONDS = 1200  # for one command, on a busy machine
UNTIL_CTRL_C = ("sweep serve", "sweep tensorboard")
CHOSEN = {  # the states of the run that the reader is told to choose for a command
    "sweep protect digits": {"RUNNING", "PAUSED"},
    "sweep revive digits": {"PRUNED"},
}


def blocks(document, language):
    """The code blocks of a language in a document, each with the number of its first line."""
    text = document.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]


def commands(document):
    """What a document has its reader type."""
    return [line[2:] for _, block in blocks(document, "console") for line in block.splitlines() if line[:2] == "$ "]


@pytest.mark.parametrize(
    ("document", "line", "source"),
    [
        pytest.param(document, line, source, id=f"{document.name}:{line}")
        for document in DOCUMENTS
        for line, source in blocks(document, "python")
    ],
)
def test_python_of_the_documents_compiles(document, line, source):
    compile("\n" * (line - 1) + source, document, "exec")


def test_files_that_the_documents_name_are_there():
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
        for typed in commands(document):
            for file in re.findall(r"(?<![\w/])studies/\w+\.py", typed):
                assert (ROOT / file).is_file(), f"{document.name}: {typed}"


class Reader:
    """Somebody in a fresh clone of the repository whose environment is made already."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "studies", folder / "studies", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(Path(sys.prefix) / "bin")
        (folder / ".venv" / ".installed").touch()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SWEEP_")}
        self._environment = {
            **kept,
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SWEEP_CACHE": os.environ["SWEEP_CACHE"],
        }

    def type(self, command):
        """What a command prints, which succeeds."""
        done = self.try_out(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def try_out(self, command):
        """Run a command, whether it succeeds or not."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def open_and_close(self, command):
        """Start what serves pages, and end it by Ctrl-C as soon as it says where they are."""
        with socket.socket() as free:  # the usual port may be taken where tests run
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.partition('#')[0]} --port {port}"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in process.stdout:
            said.append(line)
            if f":{port}/" in line:
                break
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=SECONDS)
        assert f":{port}/" in said[-1], "".join(said)
        assert "Traceback" not in rest, rest

    def runs(self, study):
        """A study's runs, as JSON has them."""
        return json.loads(self.type(f"sweep runs {study} --json"))

    def choose(self, command, states):
        """A command with a run of one of these states in place of the one that stands for it."""

        def chosen():
            runs = [run for run in self.runs("digits") if run["state"] in states and (run["epoch"] or 0) > 0]
            return next((run for run in runs if run["state"] != "RUNNING"), None)  # it stays as it is meanwhile

        return re.sub(r"\bt\d{4}\b", f"t{wait_for(chosen)['number']:04d}", command)


@pytest.fixture
def reader(tmp_path):
    """A reader whose study in the background ends if a command fails."""
    made = Reader(tmp_path)
    yield made
    made.try_out("sweep stop digits")


@pytest.mark.slow
def test_the_readme_can_be_followed(reader):
    for command in commands(ROOT / "README.md"):
        if command.startswith(UNTIL_CTRL_C):
            reader.open_and_close(command)
            continue
        if command.startswith("sweep prune digits"):
            wait_for(lambda: any(run["family"] == "mlp" and run["state"] == "PAUSED" for run in reader.runs("digits")))
        for words, states in CHOSEN.items():
            if command.startswith(words):
                command = reader.choose(command, states)
        said = reader.type(command)
        if command.startswith("make demo"):
            assert "source .venv/bin/activate" in said
            assert "sweep serve" in said
            run_python(reader)


def run_python(reader):
    """Run Python of the documents, in one process and in order, with what the demo has trained."""
    readme, findings, confirm = (
        [source for _, source in blocks(ROOT / name, "python")]
        for name in ("README.md", "docs/findings.md", "docs/confirm.md")
    )
    program = [
        "import keras, numpy as np, optuna, sweep",
        *readme,
        "assert predicted.shape == (len(x_new), 1)\nassert len(ensemble) == 3",
        "x, y, x_test, y_test = data()",
        *findings,
        *confirm,
        "assert 0 < test(model)['test mae'] < 346",  # the largest target: the model gives rows as they are measured
    ]
    (reader.folder / "blocks.py").write_text("\n\n".join(program))
    reader.type("python blocks.py")
    (reader.folder / "blocks.py").unlink()
