"""Which GPUs workers may use: those that may be seen, but for those that somebody else's processes are on."""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence

from sweep.errors import StudyError

Ask = Callable[[str], list[list[str]]]
"""Asks nvidia-smi for fields by a query such as `gpu=index,uuid`; each row's fields."""


def visible() -> list[str]:
    """The GPUs this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return sorted((re.sub(r"\D", "", path) for path in glob.glob("/dev/nvidia[0-9]*")), key=int)


def choose(wanted: Sequence[str] | None, say: Callable[[str], None], ask: Ask | None = None) -> list[str]:
    """The GPUs to train on.

    Args:
        wanted: those that a person named; None for all that may be seen.
        say: is told of each GPU that others use and that is passed over.
        ask: asks nvidia-smi.

    Raises:
        StudyError: a GPU is wanted that may not be seen, or others use them all.
    """
    there = visible()
    unknown = [name for name in wanted or () if name not in there]
    if unknown:
        raise StudyError(
            f"No such GPU: {', '.join(unknown)}.",
            f"Choose from {', '.join(there)}." if there else "This process can see no GPU.",
        )
    chosen = list(wanted) if wanted is not None else there
    users = {name: pids for name, pids in used(ask or nvidia_smi).items() if name in chosen} if chosen else {}
    for name, pids in users.items():
        say(f"GPU {name} is left out: process {', '.join(map(str, pids))} is on it")
    free = [name for name in chosen if name not in users]
    if chosen and not free:
        in_use = f"GPU {chosen[0]} is in use" if len(chosen) == 1 else f"GPUs {', '.join(chosen)} are in use"
        raise StudyError(
            f"{in_use} by {'another process' if len(chosen) == 1 else 'other processes'}.",
            "Wait, or choose another with --gpus.",
        )
    return free


def used(ask: Ask) -> Mapping[str, list[int]]:
    """The processes on each GPU that is used, by its index and by its UUID."""
    indexes = {uuid: index for index, uuid in ask("gpu=index,uuid")}
    found: dict[str, list[int]] = {}
    for uuid, pid in ask("compute-apps=gpu_uuid,pid"):
        for name in (uuid, indexes.get(uuid, uuid)):
            found.setdefault(name, [])
            if int(pid) not in found[name]:
                found[name].append(int(pid))
    return found


def nvidia_smi(query: str) -> list[list[str]]:
    """What nvidia-smi answers; nothing where it is not there or fails, for then nobody can say who uses what."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    done = subprocess.run(
        [program, f"--query-{query}", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [[field.strip() for field in line.split(",")] for line in lines if line.strip()]
