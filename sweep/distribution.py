"""The distribution that `import sweep` comes from: its name, its version, and the commands that install it.

On PyPI it is `keras-sweep`, since `sweep` is another project there.
"""

import importlib.metadata
import json
import shlex
from collections.abc import Mapping
from pathlib import Path

__version__ = "0.1.0"

NAME = "keras-sweep"
_FORMER_NAME = "sweep"  # in what earlier versions have stored, and in what their workers say

_FOLDER = Path(__file__).parent.parent  # the checkout, or the site-packages


def install_command(extra: str) -> str:
    """The shell command that adds an extra, such as `ray`, to this installation."""
    if (checkout := _checkout()) is not None:
        return shlex.join(["pip", "install", "-e", f"{checkout}[{extra}]"])
    source = _source()
    return shlex.join(["pip", "install", f"{NAME}[{extra}]" + (f" @ {source}" if source else "")])


def upgrade_command() -> str:
    """The shell command that brings a newer version."""
    if (checkout := _checkout()) is not None:
        pull = ["git", "pull"] if checkout == "." else ["git", "-C", checkout, "pull"]
        return f"{shlex.join(pull)} && {shlex.join(['pip', 'install', '-e', checkout])}"
    source = _source()
    newer = f"{NAME} @ {source}" if source and source.startswith("git+") else NAME  # a file will not become newer
    return shlex.join(["pip", "install", "--upgrade", newer])


def renamed(versions: Mapping[str, str]) -> dict[str, str]:
    """Versions by package, as a study or a worker of any version of sweep names them, with the name of today."""
    return {NAME if name == _FORMER_NAME else name: version for name, version in versions.items()}


def _checkout() -> str | None:
    """The folder of the repository that is imported, seen from here; None where sweep was installed from elsewhere."""
    if not (_FOLDER / "pyproject.toml").is_file():
        return None
    return "." if Path.cwd() == _FOLDER else str(_FOLDER)


def _source() -> str | None:
    """The URL that pip installed sweep from, as it can be given to pip again; None for a package index."""
    try:
        text = importlib.metadata.distribution(NAME).read_text("direct_url.json")  # PEP 610
    except importlib.metadata.PackageNotFoundError:
        return None
    if text is None:
        return None
    origin = json.loads(text)
    if (control := origin.get("vcs_info")) is not None:
        return f"{control['vcs']}+{origin['url']}"
    return str(origin["url"])
