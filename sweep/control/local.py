"""Workers as processes of this machine: started, watched, replaced when they die, ended with the study."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.control.gpus import visible

KILLED = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that come from outside: a person, a scheduler, the kernel short of memory. Others are faults of what ran."""


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(devices: Sequence[str] | None = None, per_gpu: int = 1) -> int:
    """So many a GPU where there are some, else one a core."""
    return len(visible() if devices is None else devices) * per_gpu or cores()


class LocalExecutor:
    """Keeps `count` workers alive until it is told not to.

    Args:
        file: the study file that they load.
        address: where the coordinator listens.
        count: how many.
        devices: the GPUs they share, one each in turn; by default all that may be seen.
        ended: called with a worker's name, how it ended in words, whether it was killed from outside, and what it
            printed last, in a thread of that worker. It returns whether another is to take its place.
    """

    def __init__(
        self,
        file: str,
        address: str,
        count: int,
        ended: Callable[[str, str, bool, str], bool],
        devices: Sequence[str] | None = None,
    ) -> None:
        self._file = file
        self._devices = visible() if devices is None else list(devices)
        self._address = address
        self._wanted = count
        self._ended = ended
        self._processes: dict[str, subprocess.Popen[bytes]] = {}  # by worker
        self._slots: dict[str, int] = {}  # of the workers not dismissed; two in one while the second relieves the first
        self._outputs = Path(tempfile.mkdtemp(prefix="sweep-"))  # what workers print and compile, for the others
        self._serial = 0
        self._closed = False
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []  # each keeps a slot, or ends with the worker that is relieved there

    def start(self) -> None:
        """Start all workers."""
        for slot in range(self._wanted):
            self._begin(slot)

    def resize(self, count: int) -> None:
        """Have `count` workers from now on. Those too many end at once: call this before any has a trial."""
        with self._lock:
            self._wanted = count
            surplus = [worker for worker, slot in self._slots.items() if slot >= count]
            for worker in surplus:
                del self._slots[worker]
                _kill(self._processes[worker])
        for slot in range(count):
            self._begin(slot)

    def relieve(self, worker: str) -> str | None:
        """Start another worker in a worker's place while that one still lives.

        Returns:
            The new worker's name; None if none is wanted there any more.
        """
        with self._lock:
            slot = self._slots.get(worker)
        return None if slot is None else self._begin(slot, relieving=worker)

    def end_worker(self, worker: str) -> None:
        """End a worker at once, with everything it started; another takes its place, as after any death."""
        with self._lock:
            process = self._processes.get(worker)
        if process is not None:
            _kill(process)

    def _begin(self, slot: int, relieving: str | None = None) -> str | None:
        worker = self._spawn(slot, relieving)
        if worker is not None:
            thread = threading.Thread(target=self._keep, args=(slot, worker), name=f"slot {slot}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return worker

    def close(self, seconds: float, busy: Callable[[str], bool] = lambda worker: True) -> None:
        """End all workers.

        Args:
            seconds: how long they may take to end by themselves; then they are killed.
            busy: whether a worker, by its name, may have something to end; others are killed at once.
        """
        with self._lock:
            self._closed = True
            idle = [process for worker, process in self._processes.items() if not busy(worker)]
        for process in idle:
            _kill(process)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.kill()
        for thread in self._threads:
            thread.join()
        shutil.rmtree(self._outputs, ignore_errors=True)

    def kill(self) -> None:
        """End all workers at once, with everything they started."""
        with self._lock:
            self._closed = True
            processes = list(self._processes.values())
        for process in processes:
            _kill(process)

    def _keep(self, slot: int, first: str) -> None:
        """Keep a worker alive in one slot, which has its share of cores or its GPU, from its first one on."""
        worker: str | None = first
        while worker is not None:
            process = self._processes[worker]
            code = process.wait()
            _kill(process)  # what it started and left behind
            with self._lock:
                del self._processes[worker]
                dismissed = self._slots.pop(worker, None) is None
            killed = code < 0 and -code in KILLED
            again = not dismissed and self._ended(worker, _how(code), killed, _tail(self._output(worker)))
            worker = self._spawn(slot) if again else None

    def _spawn(self, slot: int, relieving: str | None = None) -> str | None:
        """Start a worker in a slot that nobody has but the one it relieves; None if none is wanted there."""
        with self._lock:
            others = [worker for worker, taken in self._slots.items() if taken == slot and worker != relieving]
            if self._closed or slot >= self._wanted or others:
                return None
            worker = str(self._serial)
            self._serial += 1
            command = [sys.executable, "-m", "sweep.train.worker", self._file, "--connect", self._address]
            with self._output(worker).open("wb") as file:
                self._processes[worker] = subprocess.Popen(
                    [*command, "--worker", worker],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=_environment(slot, self._wanted, self._devices, self._outputs / "xla"),
                )
            self._slots[worker] = slot
            return worker

    def _output(self, worker: str) -> Path:
        return self._outputs / f"worker-{worker}.log"


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a worker with everything it started: it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(slot: int, count: int, devices: Sequence[str], programs: Path) -> dict[str, str]:
    """A worker's environment, set before it loads TensorFlow: its share of the cores, its GPU, where XLA's cache is."""
    threads = "1" if not devices else str(max(1, cores() // count))
    chosen = {
        "KERAS_BACKEND": "tensorflow",
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if devices:
        chosen["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
        chosen["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    else:  # XLA's programs for the CPU: what a worker has compiled the others, and its successors, only load
        kinds = "--tf_xla_persistent_cache_device_types=CPU,XLA_CPU_JIT"
        chosen["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={programs} {kinds}"
    if count == 1 and not devices:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            del chosen[name]
    return {**chosen, **os.environ, **{name: chosen[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in chosen}}


def _how(code: int) -> str:
    """How a process ended, in words that go on from "its worker"."""
    if code >= 0:
        return f"left with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" if -code in KILLED else f"died by {name}"


def _tail(output: Path, lines: int = 20) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(output.read_text(errors="replace").splitlines()[-lines:])
    return ""
