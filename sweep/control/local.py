"""Workers as processes of this machine."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.control.executor import Ending
from sweep.control.gpus import visible

KILLED = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that come from outside: a person, a scheduler, the kernel short of memory. Others are faults of what ran."""


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Process:
    """A worker as a process of this machine, which leads a session of its own.

    Args:
        file: the study file that it loads.
        address: where it speaks to the coordinator: that of a Unix socket, or a descriptor of one that it inherits.
        worker: its name.
        output: the file for what it prints.
        environment: has all that must be set before it loads TensorFlow; see `environment`.
        descriptors: which it inherits.
        folder: its working directory; None is that of this process.
    """

    def __init__(
        self,
        file: str,
        address: str,
        worker: str,
        output: Path,
        environment: dict[str, str],
        descriptors: Sequence[int] = (),
        folder: Path | None = None,
    ) -> None:
        self._output = output
        command = [sys.executable, "-m", "sweep.train.worker", file, "--connect", address, "--worker", worker]
        with output.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                pass_fds=descriptors,
                cwd=folder,
            )

    def wait(self) -> Ending:
        """Wait until it has ended, and end what it started and left behind."""
        code = self._process.wait()
        self.kill()
        return Ending(how(code), code < 0 and -code in KILLED, self._tail())

    def kill(self) -> None:
        """End it with everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tail(self, lines: int = 20) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self._output.read_text(errors="replace").splitlines()[-lines:])
        return ""


class Local:
    """This machine: workers are its processes, and share its cores, or GPUs, by their slots.

    Args:
        file: the study file that they load.
        address: where the coordinator listens.
        devices: the GPUs they share, one each in turn; by default all that may be seen.
        per_gpu: how many share one.
    """

    def __init__(self, file: str, address: str, devices: Sequence[str] | None = None, per_gpu: int = 1) -> None:
        self._file = file
        self._address = address
        self._devices = visible() if devices is None else list(devices)
        self.most = len(self._devices) * per_gpu or cores()
        self.when_room: Callable[[], None] = lambda: None  # it does not change
        self._outputs = Path(tempfile.mkdtemp(prefix="sweep-"))  # what workers print and compile, for the others

    def launch(self, worker: str, slot: int, count: int) -> Process:
        """Start a worker."""
        output = self._outputs / f"worker-{worker}.log"
        return Process(self._file, self._address, worker, output, self._environment(slot, count))

    def close(self) -> None:
        """Remove what workers have printed and compiled."""
        shutil.rmtree(self._outputs, ignore_errors=True)

    def _environment(self, slot: int, count: int) -> dict[str, str]:
        if self._devices:
            own = {"CUDA_VISIBLE_DEVICES": self._devices[slot % len(self._devices)]}
            return {**environment(max(1, cores() // count), None), **own}
        return environment(1 if count > 1 else None, self._outputs / "xla")


def environment(threads: int | None, programs: Path | None) -> dict[str, str]:
    """A worker's environment, which has what must be set before it loads TensorFlow; what the user has set stands.

    Args:
        threads: how many it has; None leaves it to TensorFlow.
        programs: the folder of XLA's programs for the CPU: what a worker has compiled the others, and its successors,
            only load. None is for a worker that has a GPU.
    """
    chosen = {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if threads is not None:
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        chosen.update(dict.fromkeys(names, str(threads)))
    if programs is None:
        chosen["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    else:
        kinds = "--tf_xla_persistent_cache_device_types=CPU,XLA_CPU_JIT"
        chosen["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={programs} {kinds}"
    return {**chosen, **os.environ}


def how(code: int) -> str:
    """How a process ended, in words that go on from "its worker"."""
    if code >= 0:
        return f"left with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" if -code in KILLED else f"died by {name}"
