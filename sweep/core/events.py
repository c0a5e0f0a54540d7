"""What happens to a running study, and what is to be done about it: the input and the output of
`StudyMachine.apply`.

Threads around the core carry out the effects: the loop replies to workers, the executor starts and kills them, the
sampling thread has Optuna's study, and the journal writes to the database. Each reports back with an event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.core.limits import Limits
from sweep.core.pruners import Judge, Verdict
from sweep.declaration import Declaration, Value
from sweep.errors import SweepError
from sweep.snapshot import Snapshot
from sweep.store.records import RepeatRecord, RunRecord
from sweep.store.store import Command
from sweep.wire.messages import Answer, Message

# Events from workers and their places.


@dataclass(frozen=True)
class Said:
    """A worker has sent a message. It sends no other one before it has the answer, unless it is `Epoch`."""

    worker: str
    message: Message


@dataclass(frozen=True)
class HungUp:
    """A worker's connection has ended; all that it had sent came before."""

    worker: str


@dataclass(frozen=True)
class Exited:
    """A worker's process has ended.

    Attributes:
        how: the end of a sentence that begins "its worker was" if it was killed, "its worker" if not.
        killed: from outside, rather than by what it ran.
        output: what it printed last.
    """

    worker: str
    how: str
    killed: bool
    output: str = ""


@dataclass(frozen=True)
class Room:
    """There is room for so many workers from now on."""

    most: int


@dataclass(frozen=True)
class Signal:
    """Ctrl-C or SIGTERM, by the name that people know it by."""

    name: str


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


# Events from the threads around the core.


@dataclass(frozen=True)
class Opened:
    """The study is open.

    Attributes:
        declaration: with what the start options say instead.
        runs: of earlier starts; those of `again` have not ended and are run again.
        changed: the numbers of runs that opening has changed.
        begun: how many trials have begun; `exhausted`: the sampler has nothing more to propose.
        marked: the number of the training that the study file has marked for pruners so far; 0 without one.
        judge: judges runs; None where Optuna's own pruner does.
        logdir: the log directory, absolute.
        added: the numbers of trials of other programs.
        snapshot: of the study file.
        opening: what a display shows first: `sweep.control.progress.Opening`.
        kept: whether the study is in the database already.
        limits: of its epochs, and of what is looked for; None where it has neither.
        notes: what people are to know of the opening.
        sizes: the bytes of paused runs' checkpoints, by number; empty where they have no limit.
        continuable: runs that were paused when the study was spent, and pruned for that; they have checkpoints.
    """

    declaration: Declaration
    runs: Sequence[RunRecord]
    again: Sequence[int]
    changed: frozenset[int]
    begun: int
    exhausted: bool
    marked: int
    judge: Judge | None
    logdir: str
    added: Sequence[int] = ()
    opening: Any = None
    snapshot: Snapshot | None = None
    kept: bool = False
    limits: Limits | None = None
    notes: Sequence[str] = ()
    sizes: Mapping[int, int] = field(default_factory=dict)
    continuable: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Refused:
    """The study cannot be, or cannot continue.

    Attributes:
        worker: whose message the error answers.
        unwritten: what was to be written is not, so that those who wait for it get the error.
        lost: the study may be another coordinator's by now, so that its workers end at once.
    """

    error: SweepError
    worker: str | None = None
    unwritten: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Crashed:
    """A fault of ours."""

    error: BaseException


@dataclass(frozen=True)
class Sampled:
    """A trial is there to be given to a worker; `number` is None where the sampler had nothing to propose.

    Attributes:
        fresh: whether it is new, rather than run again.
        revives: the number of the pruned trial that it continues; `scheduled`: since that is due again, and not because
            a person wants it.
        has_checkpoints: whether its run directory has some of its own.
        more: whether another trial of the same `Sample` follows.
    """

    number: int | None
    seed: int = 0
    fresh: bool = True
    revives: int | None = None
    scheduled: bool = False
    has_checkpoints: bool = False
    exhausted: bool = False
    more: bool = False


@dataclass(frozen=True)
class Answered:
    """The sampling thread has the answer to a worker's message."""

    worker: str
    answer: Answer


@dataclass(frozen=True)
class Named:
    """A run has its name.

    Attributes:
        hopeless: the number of a trial with the same parameters that failed because of them.
        keys: its parameters with their keys in run names.
    """

    worker: str
    number: int
    name: str
    family: str
    params: Mapping[str, Value]
    hopeless: int | None
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Constrained:
    """A trial has set a constraint."""

    number: int
    constraints: Mapping[str, float]


@dataclass(frozen=True)
class Judged:
    """Optuna's pruner has judged an epoch of a trial."""

    worker: str
    number: int
    verdict: Verdict | None


@dataclass(frozen=True)
class Told:
    """A trial's end is entered in Optuna's study."""

    number: int
    state: str
    values: Sequence[float] | None
    params: Mapping[str, Value]
    constraints: Mapping[str, float]
    exhausted: bool


@dataclass(frozen=True)
class PutBack:
    """A trial waits in Optuna's study to be run again."""

    number: int


@dataclass(frozen=True)
class Paused:
    """A trial is paused in Optuna's study. `size` is that of its checkpoint in bytes; 0 if it was not measured."""

    number: int
    size: int = 0


@dataclass(frozen=True)
class Added:
    """Other programs have added trials that have ended, or ended theirs: our runs of them, and values by step."""

    runs: Sequence[tuple[RunRecord, Mapping[int, float]]]


@dataclass(frozen=True)
class Revived:
    """A pruned run was to be continued in a new trial; `problem` says why it is not."""

    number: int
    problem: str | None = None


@dataclass(frozen=True)
class Written:
    """All changes of a `Write` are on the disk."""


@dataclass(frozen=True)
class Unwritten:
    """A `Write` was given up, since nobody waits for the database any more: what it had is not acknowledged."""


@dataclass(frozen=True)
class Looked:
    """What other programs have done since the last look.

    Attributes:
        commands: what people want.
        added: the numbers of trials that other programs have added or changed.
        ended: our running trials that others have ended, with the state and the values that they gave them.
        refused: the database refused, and there may be more.
    """

    commands: Sequence[Command] = ()
    added: Sequence[int] = ()
    ended: Mapping[int, tuple[str, list[float] | None]] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True)
class Refuses:
    """The database refuses what the study waits for, and is asked again."""

    said: str


@dataclass(frozen=True)
class Troubled:
    """Something that a person should know."""

    text: str


Event = (
    Said
    | HungUp
    | Exited
    | Room
    | Signal
    | Tick
    | Opened
    | Refused
    | Crashed
    | Sampled
    | Answered
    | Named
    | Constrained
    | Judged
    | Told
    | PutBack
    | Paused
    | Added
    | Revived
    | Written
    | Unwritten
    | Looked
    | Refuses
    | Troubled
)


# Effects for workers.


@dataclass(frozen=True)
class Reply:
    """Answer a worker."""

    worker: str
    answer: Answer


@dataclass(frozen=True)
class Launch:
    """Start a worker in slot `slot` of `slots`: the workers of a slot share its cores or its GPU."""

    worker: str
    slot: int
    slots: int


@dataclass(frozen=True)
class Kill:
    """End a worker at once, with everything that it started."""

    worker: str


# Effects for the sampling thread.


@dataclass(frozen=True)
class Open:
    """Open the study that a worker declares."""

    declaration: Declaration
    snapshot: Snapshot | None


@dataclass(frozen=True)
class Sample:
    """Make trials: up to `most` new ones, or the one of that number again, which has that run directory.

    With `continues`, the new one continues that pruned trial. Answered with a `Sampled` for each.
    """

    number: int | None
    directory: str | None = None
    most: int = 1
    continues: int | None = None


@dataclass(frozen=True)
class Propose:
    """Answer a worker's `Suggest`."""

    worker: str
    number: int
    name: str
    distribution: str


@dataclass(frozen=True)
class Name:
    """Name a run. `name`: it has one already; `complete`: it has all its parameters, which are to be checked."""

    worker: str
    number: int
    family: str
    architecture: str | None
    name: str | None
    complete: bool


@dataclass(frozen=True)
class Forget:
    """Forget the values that a trial has reported."""

    number: int


@dataclass(frozen=True)
class Enter:
    """Enter a value that a trial reports; `judged`: it had its verdict in an earlier attempt."""

    number: int
    step: int
    value: float
    judged: bool = False


@dataclass(frozen=True)
class Judgement:
    """Have Optuna's pruner judge a trial by its last value: answered with `Judged`."""

    worker: str
    number: int
    step: int
    value: float


@dataclass(frozen=True)
class SetAttribute:
    """Set an attribute of a trial and answer its worker; `Constrained` follows where it is a constraint."""

    worker: str
    number: int
    kind: str
    key: str
    value: Any


@dataclass(frozen=True)
class Tell:
    """End a trial in Optuna's study. `hopeless`: it failed because of its parameters."""

    number: int
    state: str
    values: Sequence[float] | None
    hopeless: bool


@dataclass(frozen=True)
class Requeue:
    """Have a trial wait to be run again: answered with `PutBack`."""

    number: int


@dataclass(frozen=True)
class Pause:
    """Have a trial wait, and the sampler see it as pruned until it ends: answered with `Paused`.

    Attributes:
        directory: where its checkpoint is, which is to be measured; None to measure nothing.
    """

    number: int
    directory: str | None


@dataclass(frozen=True)
class Teach:
    """Have the sampler learn that a trial has failed because of its parameters."""

    number: int


@dataclass(frozen=True)
class Revive:
    """Queue a trial that continues a pruned one."""

    number: int
    directory: str | None


@dataclass(frozen=True)
class Learn:
    """Have the sampler learn from trials of other programs: answered with `Added` for those that have ended."""

    numbers: tuple[int, ...]


# Effects for the journal.


@dataclass
class Changes:
    """What has changed in our tables. The old metrics of `restarted` runs go before new ones come.

    Attributes:
        metrics: number, epoch from 0, metric, value.
        snapshots: those of the study file that are new.
        repeats: those that have ended.
        declaration: as it is by now.
    """

    runs: list[RunRecord] = field(default_factory=list)
    restarted: set[int] = field(default_factory=set)
    metrics: list[tuple[int, int, str, float]] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    repeats: list[RepeatRecord] = field(default_factory=list)
    declaration: Declaration | None = None

    def add(self, run: RunRecord, values: Mapping[int, float], objective: Sequence[str]) -> None:
        """Add the run of another program's trial, with the values by step that it has reported for one objective."""
        self.runs.append(run)
        if len(objective) == 1:
            self.metrics += [(run.number, step, objective[0], value) for step, value in values.items()]

    def then(self, later: "Changes") -> "Changes":
        """These changes and later ones, as one."""
        runs = {run.number: run for run in [*self.runs, *later.runs]}
        metrics = [row for row in self.metrics if row[0] not in later.restarted]
        return Changes(
            [runs[number] for number in sorted(runs)],
            self.restarted | later.restarted,
            metrics + later.metrics,
            self.snapshots + later.snapshots,
            self.repeats + later.repeats,
            later.declaration or self.declaration,
        )

    def __bool__(self) -> bool:
        return bool(self.runs or self.restarted or self.metrics or self.snapshots or self.repeats)


@dataclass(frozen=True)
class Write:
    """Write changes, however often the database refuses: answered with `Written`. The first one creates the study."""

    changes: Changes


@dataclass(frozen=True)
class ReadNews:
    """See what other programs have done: answered with `Looked`.

    Attributes:
        running: our running trials.
        beat: show that this coordinator lives, and look for trials of others; else only commands are read.
    """

    running: frozenset[int]
    beat: bool


# Effects for people and files.


@dataclass(frozen=True)
class Show:
    """Show something to those who watch: a call of a method of `Watcher`."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Wait:
    """Say that the study waits for its database, or that it does so no longer.

    Attributes:
        since: in Unix seconds; `why`: what the database said.
        seconds: how long it has waited, when that is over.
    """

    since: float
    why: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class EndFiles:
    """Write the end of a run whose worker is gone into its event files."""

    run: RunRecord
    objective: str


@dataclass(frozen=True)
class RemoveCheckpoints:
    """Remove what a run could be continued from: it has ended, as the database says by now."""

    run: RunRecord


@dataclass(frozen=True)
class KeepSnapshot:
    """Have workers that are launched from now on load these files, whatever has become of them on the disk."""

    snapshot: Snapshot


@dataclass(frozen=True)
class RemoveWeights:
    """Remove the weights of runs that are not among the best, unless they can still be continued."""

    runs: Sequence[RunRecord]


@dataclass(frozen=True)
class Finish:
    """The study is finished or stopped, and none of its workers lives.

    Attributes:
        changes: what is still to be written.
        runs: every run of the study.
        refused: the study cannot be; where it is a new one and none of its trials has ended, nothing of it stays.
    """

    changes: Changes
    runs: Sequence[RunRecord]
    refused: bool


Effect = (
    Reply
    | Launch
    | Kill
    | Open
    | Sample
    | Propose
    | Name
    | Forget
    | Enter
    | Judgement
    | SetAttribute
    | Tell
    | Requeue
    | Pause
    | Teach
    | Revive
    | Learn
    | Write
    | ReadNews
    | Show
    | Wait
    | EndFiles
    | RemoveCheckpoints
    | KeepSnapshot
    | RemoveWeights
    | Finish
)
