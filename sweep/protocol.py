"""The version of what workers and their coordinator say to each other.

A worker says it with its first message. On one machine both are the same program; on a cluster a node may have another
version of sweep, and two that would misunderstand each other do not begin. It is raised with every change of a message
or an answer.
"""

from collections.abc import Mapping
from typing import Any

from sweep.declaration import versions
from sweep.errors import StudyError

PROTOCOL = 3


def check_protocol(spoken: Any, theirs: Mapping[str, str]) -> None:
    """See that a worker speaks the coordinator's protocol.

    Args:
        spoken: the worker's protocol; None from one that has none to say.
        theirs: the versions of packages there.

    Raises:
        StudyError: it does not.
    """
    if spoken != PROTOCOL:
        ours = versions().get("sweep", "?")
        raise StudyError(
            f"A worker has sweep {theirs.get('sweep', '?')} (protocol {spoken}), and the coordinator has sweep "
            f"{ours} (protocol {PROTOCOL}).",
            "Install the same version of sweep on every node.",
        )
