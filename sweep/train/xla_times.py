"""How fast programs have run as graphs and by XLA on this machine, kept for the next study in the user's cache folder.

The file is a convenience: where it is damaged, missing or cannot be written, programs are measured again. It is
`xla.json` in `SWEEP_CACHE`, by default in `keras-sweep` of the user's cache folder.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

SECONDS_PER_OPERATION = 0.004
"""CPU seconds in which XLA compiles an operation of a step, as long as this machine has compiled none (0.003 to 0.005
on one core of an EPYC)."""

MAX_PROGRAMS = 2000
"""How many programs are remembered; those measured longest ago go first."""

_FORMAT = 1


@dataclass(frozen=True)
class Times:
    """What was measured of a program.

    Attributes:
        graph: seconds of a pass as a graph.
        xla: seconds of a pass by XLA; infinite where XLA does not compile it.
        compiling: CPU seconds in which XLA compiled it.
        operations: how many it has in a step.
    """

    graph: float
    xla: float
    compiling: float
    operations: int

    @property
    def faster(self) -> bool:
        """Whether XLA is the faster one."""
        return self.xla < self.graph


class XlaTimes:
    """The times of the programs of this machine, in a file that its processes share.

    Args:
        file: where they are.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()  # programs are compiled in threads
        self._read_at: tuple[int, int] | None = None
        self._known: dict[str, Times] = {}
        self._per_operation: float | None = None  # of what is known; None until it is asked for

    def find(self, program: str) -> Times | None:
        """The times of a program, if it has been measured on this machine.

        Args:
            program: the place of a program (`program_cache.py`), the same in all processes.
        """
        with self._lock:
            self._read()
            return self._known.get(_key(program))

    def note(self, program: str, times: Times) -> None:
        """Keep the times of a program, in this process at least."""
        key = _key(program)
        with self._lock:
            self._read()
            self._known.pop(key, None)
            self._known[key] = times
            self._per_operation = None
            with contextlib.suppress(OSError):
                self._write()

    def seconds_per_operation(self) -> float:
        """How long XLA takes to compile an operation of a step, in CPU seconds, as seen on this machine."""
        with self._lock:
            self._read()
            if self._per_operation is None:
                known = self._known.values()
                seen = [times.compiling / times.operations for times in known if times.compiling > 0]
                self._per_operation = statistics.median(seen) if seen else SECONDS_PER_OPERATION
            return self._per_operation

    def _read(self) -> None:
        """Take over what others have written."""
        try:
            status = self._file.stat()
            if (status.st_mtime_ns, status.st_size) == self._read_at:
                return
            self._read_at = (status.st_mtime_ns, status.st_size)
            content = json.loads(self._file.read_text("utf-8"))
            if content["format"] == _FORMAT:
                self._known |= {key: _parsed(entry) for key, entry in content["programs"].items()}
                self._per_operation = None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return

    def _write(self) -> None:
        programs = {key: _entry(times) for key, times in list(self._known.items())[-MAX_PROGRAMS:]}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=".xla-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "programs": programs}, file)
            os.replace(name, self._file)
        except BaseException:
            os.unlink(name)
            raise


@cache
def xla_times() -> XlaTimes:
    """The times of this user's programs."""
    return XlaTimes(_folder() / "xla.json")


def _folder() -> Path:
    if chosen := os.environ.get("SWEEP_CACHE"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA"):
        return Path(chosen) / "keras-sweep"
    home = Path(os.path.expanduser("~"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "keras-sweep"


def _entry(times: Times) -> dict[str, Any]:
    entry = {name: round(value, 7) for name, value in vars(times).items()}
    return entry | {"xla": entry["xla"] if math.isfinite(times.xla) else None}


def _parsed(entry: Mapping[str, Any]) -> Times:
    """The times in an entry of the file.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is none.
    """
    xla = math.inf if entry["xla"] is None else float(entry["xla"])
    times = Times(float(entry["graph"]), xla, float(entry["compiling"]), int(entry["operations"]))
    if not (0 < times.graph < math.inf and times.xla > 0 and 0 <= times.compiling < math.inf and times.operations > 0):
        raise ValueError("no times")
    return times


def _key(program: str) -> str:
    return hashlib.sha256(f"{program} {_machine()}".encode()).hexdigest()[:32]


@cache
def _machine() -> str:
    """What the times of a program depend on besides the program: processors, threads and versions."""
    devices = [(device.device_type, tf.config.experimental.get_device_details(device)) for device in _accelerators()]
    threads = [
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
        *(os.environ.get(name) for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")),
        os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    ]
    return repr([_processor(), os.cpu_count(), devices, threads, tf.__version__, keras.__version__])


def _accelerators() -> list[Any]:
    return [device for device in tf.config.list_physical_devices() if device.device_type != "CPU"]


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line
    return f"{platform.machine()} {platform.processor()}"
