"""Workers as processes of this machine."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep import commands
from sweep.control.gpus import visible
from sweep.core.events import Crashed, Exited, Room
from sweep.scratch import Scratch

KILLED = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that come from outside: a person, a scheduler, the kernel short of memory. Others are faults of what ran."""


POLL_SECONDS = 0.02


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
        snapshot: a file with what it loads in place of the study file and modules beside it, where they have changed.
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
        snapshot: Path | None = None,
    ) -> None:
        self._worker = worker
        self._output = output
        given = [] if snapshot is None else [f"--snapshot={snapshot}"]
        command = commands.python("sweep.worker", file, *given, "--connect", address, "--worker", worker)
        with output.open("ab+") as log:
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

    def wait(self) -> Exited:
        """Wait until it has ended, and end what it started and left behind."""
        self._process.wait()
        return self._exited()

    def poll(self) -> Exited | None:
        """How it ended; what it started and left behind is ended too. None while it runs."""
        return None if self._process.poll() is None else self._exited()

    def _exited(self) -> Exited:
        code = self._process.returncode
        self.kill()
        return Exited(self._worker, how(code), code < 0 and -code in KILLED, self._tail())

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
        post: takes `Room` and `Exited`.
        devices: the GPUs they share, one each in turn; by default all that may be seen.
        per_gpu: how many share one.
        snapshot: a file that is there once the study has been loaded; see `Process`.
        slots: how many workers share this machine, where not all of them are here; by default as many as are.
    """

    def __init__(
        self,
        file: str,
        address: str,
        post: Callable[[Room | Exited | Crashed], None],
        devices: Sequence[str] | None = None,
        per_gpu: int = 1,
        snapshot: Path | None = None,
        slots: int | None = None,
    ) -> None:
        self._file = file
        self._address = address
        self._post = post
        self._slots = slots
        self._snapshot = snapshot
        self._devices = visible() if devices is None else list(devices)
        self._scratch = Scratch()
        self._outputs = self._scratch.path  # what workers print and compile, for the others
        self._processes: dict[str, Process] = {}
        self._started = threading.Event()
        self._closed = False
        self._most = len(self._devices) * per_gpu or cores()

    def start(self) -> None:
        """Watch for workers that end, in a thread of its own."""
        threading.Thread(target=self._watch, name="local workers", daemon=True).start()
        self._post(Room(self._most))

    def submit(self, worker: str, slot: int, slots: int) -> None:
        """Start a worker."""
        output = self._outputs / f"worker-{worker}.log"
        snapshot = self._snapshot if self._snapshot is not None and self._snapshot.exists() else None
        surroundings = self._environment(slot, self._slots or slots)
        try:
            process = Process(self._file, self._address, worker, output, surroundings, snapshot=snapshot)
        except OSError as error:  # no memory, or no descriptors
            self._post(Exited(worker, f"not started: {error.strerror or error}", killed=True))
            return
        self._processes[worker] = process
        self._started.set()

    def kill(self, worker: str) -> None:
        """End a worker at once, with everything that it started."""
        process = self._processes.get(worker)
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Remove what workers have printed and compiled."""
        self._closed = True
        self._started.set()
        self._scratch.close()

    def _watch(self) -> None:
        """Post how workers end."""
        try:
            self._poll()
        except Exception as error:  # without which nobody would learn of it
            self._post(Crashed(error))

    def _poll(self) -> None:
        while not self._closed:
            self._started.wait(None if not self._processes else 0.0)
            self._started.clear()
            for worker, process in list(self._processes.items()):
                exited = process.poll()
                if exited is not None:
                    del self._processes[worker]
                    self._post(exited)
            time.sleep(POLL_SECONDS)

    def _environment(self, slot: int, slots: int) -> dict[str, str]:
        if self._devices:
            own = {"CUDA_VISIBLE_DEVICES": self._devices[slot % len(self._devices)]}
            return {**environment(max(1, cores() // slots), None), **own}
        return environment(1 if slots > 1 else None, self._outputs / "xla")


def environment(threads: int | None, programs: Path | None) -> dict[str, str]:
    """A worker's environment, which has what must be set before it loads TensorFlow; what the user has set stands.

    Args:
        threads: how many it has; None leaves it to TensorFlow.
        programs: the folder of XLA's programs for the CPU: a program that one worker has compiled is loaded by
            the others. None is for a worker that has a GPU.
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
    return commands.environment(**chosen)


def how(code: int) -> str:
    """How a process ended, in words that go on from "its worker"."""
    if code >= 0:
        return f"left with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" if -code in KILLED else f"died by {name}"
