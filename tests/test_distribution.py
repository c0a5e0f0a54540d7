"""What the messages that name a `pip install` say, for each way in which sweep can have been installed."""

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweep import distribution
from sweep.distribution import install_command, renamed, upgrade_command

ROOT = Path(__file__).parent.parent


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that has sweep lie in a site-packages, as pip leaves it there for what it was given."""

    def install(origin):
        monkeypatch.setattr(distribution, "_FOLDER", tmp_path)
        text = None if origin is None else json.dumps(origin)
        found = SimpleNamespace(read_text={"direct_url.json": text}.get)
        monkeypatch.setattr("importlib.metadata.distribution", {"keras-sweep": found}.get)

    return install


def test_the_name_is_that_of_the_project():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == distribution.NAME


def test_in_a_checkout_the_checkout_is_installed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert install_command("ray") == "pip install -e '.[ray]'"
    assert upgrade_command() == "git pull && pip install -e ."
    monkeypatch.chdir(tmp_path)
    assert install_command("ray") == f"pip install -e '{ROOT}[ray]'"
    assert upgrade_command() == f"git -C {ROOT} pull && pip install -e {ROOT}"


@pytest.mark.parametrize(
    ("origin", "adds_ray", "upgrades"),
    [
        (None, "pip install 'keras-sweep[ray]'", "pip install --upgrade keras-sweep"),
        (
            {"url": "file:///a/keras_sweep-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install 'keras-sweep[ray] @ file:///a/keras_sweep-0.1.0-py3-none-any.whl'",
            "pip install --upgrade keras-sweep",
        ),
        (
            {"url": "https://example.org/sweep.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "pip install 'keras-sweep[ray] @ git+https://example.org/sweep.git'",
            "pip install --upgrade 'keras-sweep @ git+https://example.org/sweep.git'",
        ),
        (
            {"url": "file:///clone", "dir_info": {}},
            "pip install 'keras-sweep[ray] @ file:///clone'",
            "pip install --upgrade keras-sweep",
        ),
    ],
    ids=["from an index", "from a file", "from git", "from a folder"],
)
def test_elsewhere_pip_is_given_what_it_was_given_before(installed, origin, adds_ray, upgrades):
    installed(origin)
    assert install_command("ray") == adds_ray
    assert upgrade_command() == upgrades


def test_the_former_name_of_a_package_of_ours_is_read_as_the_name_of_today():
    assert renamed({"sweep": "0.0.9", "keras": "3.15.0"}) == {"keras-sweep": "0.0.9", "keras": "3.15.0"}
    assert renamed({"keras-sweep": "0.2.0"}) == {"keras-sweep": "0.2.0"}
