"""The wheel and the source distribution, built and installed into environments that hold nothing else."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

import sweep

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
DISK = "/var/tmp"  # an environment with TensorFlow is too large for memory
LIMIT = 1800  # seconds; TensorFlow may have to be fetched
PROGRAM = """
import importlib.metadata
from sweep.declaration import versions
import sweep.serve.app
print(importlib.metadata.version("keras-sweep"), versions()["keras-sweep"], sweep.__file__)
"""


def attempt(*command, cwd):
    """Run a command, without what Python or sweep would look at in this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SWEEP_", "VIRTUAL_"))}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=LIMIT
    )


def run(*command, cwd, status=0):
    """What a command prints, or its complaint."""
    done = attempt(*command, cwd=cwd)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


def interpreter(version):
    """A Python of a version on PATH or among pyenv's; None if there is none."""
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{version}"), *managed.glob(f"{version}.*/bin/python{version}")]
    for place in filter(None, places):
        asked = [place, "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"]
        if subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == version:
            return place
    return None


@pytest.fixture
def folder():
    """A folder on the disk, removed at the end."""
    made = Path(tempfile.mkdtemp(prefix="keras-sweep-", dir=DISK))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source distribution of the working tree; the wheel is built from the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "hatchling", cwd=folder)
    run(python, "-m", "hatchling", "build", "-t", "sdist", "-d", folder / "dist", cwd=ROOT)
    (packed,) = (folder / "dist").glob("*.tar.gz")
    run("tar", "--extract", "--file", packed, cwd=folder)
    unpacked = folder / packed.name.removesuffix(".tar.gz")
    run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=unpacked)
    (wheel,) = (folder / "dist").glob("*.whl")
    (source,) = (folder / "dist").glob("*.tar.gz")
    assert wheel.name == f"keras_sweep-{sweep.__version__}-py3-none-any.whl"
    assert source.name == f"keras_sweep-{sweep.__version__}.tar.gz"
    return wheel, source


def test_the_wheel_holds_every_file_of_the_package(built):
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "sweep").rglob("*") if file.is_file()}
    with zipfile.ZipFile(built[0]) as wheel:
        assert {name for name in files if "__pycache__" not in name} <= set(wheel.namelist())


@pytest.mark.parametrize("version", PYTHONS)
def test_what_is_built_runs_a_study_in_an_environment_of_its_own(built, folder, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version}")
    run(python, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    for distribution in built:
        work = folder / distribution.name
        work.mkdir()
        installed = attempt(programs / "pip", "install", "--quiet", distribution, cwd=work)
        if "No matching distribution found for tensorflow" in installed.stderr:
            pytest.skip(f"TensorFlow cannot be had for Python {version} here")
        assert installed.returncode == 0, installed.stderr
        shutil.copy(ROOT / "studies" / "diabetes.py", work)
        stored, ours, file = run(programs / "python", "-c", PROGRAM, cwd=work).split()
        assert stored == ours == sweep.__version__
        assert Path(file).is_relative_to(folder / "venv")
        assert run(programs / "sweep", "--version", cwd=work) == f"sweep {sweep.__version__}\n"
        run(programs / "sweep", "start", "diabetes.py", "--trials", "2", "--epochs", "1", "--workers", "1", cwd=work)
        assert len(run(programs / "sweep", "runs", "diabetes", cwd=work).splitlines()) == 3
        refused = run(programs / "sweep", "start", "diabetes.py", "--on", "ray", cwd=work, status=2)
        assert f"Run: pip install 'keras-sweep[ray] @ {distribution.as_uri()}'" in refused
        run(programs / "pip", "uninstall", "--quiet", "--yes", "keras-sweep", cwd=work)
