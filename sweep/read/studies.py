"""What state a study is in, and how it stands."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweep.read.runs import best_run, finished
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.lease import alive

BEAT_SECONDS = 1.5
"""How long the beat of a coordinator on another host is watched; it counts up several times in that."""


@dataclass(frozen=True)
class Standing:
    """How a study stands.

    Attributes:
        state: `running` (its coordinator lives), `finished` (its trials are used up) or `stopped`.
        counts: how many runs are in each state; of a study that nobody runs none is running, see `counts_now`.
        best: the best complete run, if there is one and the study has a single objective.
    """

    study: StudyRecord
    state: str
    counts: dict[str, int]
    best: RunRecord | None

    @property
    def finished(self) -> int:
        """How many trials count towards the study's budget."""
        return finished(self.counts)


def standings(store: Store, studies: Sequence[StudyRecord]) -> list[Standing]:
    """How each study stands; this takes `BEAT_SECONDS` if one is owned by another host."""
    owned = owners_alive(store, studies)
    found = []
    for study in studies:
        running = owned[study.study_id]
        counts = counts_now(store.counts(study.study_id), running=running)
        state = study_state(study, counts, running=running)
        found.append(Standing(study, state, counts, best_run(study, store.runs(study.study_id))))
    return found


def counts_now(counts: Mapping[str, int], *, running: bool) -> dict[str, int]:
    """How many runs are in each state, where a coordinator that was killed has left some RUNNING: those wait."""
    if running or "RUNNING" not in counts:
        return dict(counts)
    rest = {state: count for state, count in counts.items() if state != "RUNNING"}
    return {**rest, "WAITING": rest.get("WAITING", 0) + counts["RUNNING"]}


def study_state(study: StudyRecord, counts: Mapping[str, int], *, running: bool) -> str:
    """`running`, `finished` or `stopped`."""
    if running:
        return "running"
    return "finished" if finished(counts) >= study.declaration.trials else "stopped"


def nothing_to(verb: str, name: str, state: str) -> str:
    """Why a study that is not running cannot be told to stop, to prune a run and so on, as a sentence."""
    return f"Study {name} {'has finished' if state == 'finished' else f'is {state}'}, so there is nothing to {verb}."


def is_running(store: Store, study: StudyRecord) -> bool:
    """Whether a study's coordinator lives."""
    return owners_alive(store, [study])[study.study_id]


def owners_alive(store: Store, studies: Sequence[StudyRecord]) -> dict[int, bool]:
    """Which studies' coordinators live, by study id; of those on other hosts the ones whose beat counts up."""
    lives = {study.study_id: alive(study.owner) for study in studies}
    foreign = [study for study in studies if lives[study.study_id] is None]
    before = {study.study_id: store.owner(study.study_id)[1] for study in foreign}
    if foreign:
        time.sleep(BEAT_SECONDS)
    for study in foreign:
        lives[study.study_id] = store.owner(study.study_id)[1] > before[study.study_id]
    return {study_id: bool(life) for study_id, life in lives.items()}
