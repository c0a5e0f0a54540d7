"""Every option of a start, once: its name, values, help, group, default, and where it can be given.

`Settings` holds the values, and each of its fields describes itself as an `Option`. Everything else is made from these:
the options of `sweep start` and the command that continues a study (`words`), the keyword arguments of `study.run`, the
HTTP API's description, the fields of the start page, what `sweep start --server` sends, and the command that the
service runs. To add an option, add a field here; whatever obeys it reads `settings.NAME`.
"""

import dataclasses
import importlib.util
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sweep.distribution import install_command
from sweep.errors import StudyError
from sweep.names import Value
from sweep.option_values import (
    ALL,
    STUDY_NAME,
    Amount,
    Amounts,
    BestOf,
    Choice,
    Flag,
    Gpus,
    Params,
    ParamSets,
    Pattern,
    Share,
    Size,
    SpecText,
    StopRules,
    Time,
    Unfit,
    Values,
    Whole,
    meant,
    shown,
)
from sweep.spec_objects import spec_text
from sweep.specs import make_pruner, make_sampler, names_module

Way = Literal["cli", "python", "api"]
"""Where an option can be given: `sweep start`, `study.run`, and the service (its HTTP API, its page, `--server`)."""

EVERYWHERE: frozenset[Way] = frozenset({"cli", "python", "api"})
HERE: frozenset[Way] = frozenset({"cli", "python"})
TERMINAL: frozenset[Way] = frozenset({"cli"})

BROKEN = ("prune", "report", "ignore")


@dataclass(frozen=True)
class Places(Values):
    """Where workers run: a `Cluster`, or None for this machine; on a command line `ray` or `here`."""

    expected: str = "here or ray"
    words = ("here", "ray")

    def read(self, text: str) -> Any:
        if text not in self.words:
            raise Unfit(text, meant(text, self.words))
        return Cluster() if text == "ray" else None

    def check(self, value: Any) -> "Cluster":
        if not isinstance(value, Cluster):
            raise Unfit(value, "In Python, give a sweep.Cluster.")
        return value

    def texts(self, _value: Any) -> list[str]:
        return ["ray"]


@dataclass(frozen=True)
class Option:
    """One option of a start.

    Attributes:
        values: what it takes.
        help: a sentence; what the command line's help and the page show.
        group: the heading under which both list it.
        flag: its name on the command line; by default made of `name`.
        short: a second name there, of a hyphen and a letter.
        typed: what the help of the command line adds, as a sentence.
        metavar: what stands for its value in the help.
        unset: what holds where nobody gives it, in words, where the default itself does not say so.
        ways: where it can be given.
        why: why it cannot be given to the service, as a sentence.
        declares: it takes the place of what the study file says.
        again: what a study is continued with: what the last `start` was given, what the `study` has by now, or
            `never` (it concerns one start only).
        envvar: the environment variable that the command line reads it from.
        label: its name on the page; by default made of `name`.
        folded: the page shows it among the advanced options.
        example: what the page shows in its empty field, where that is not what holds then.
        former: the name in Python and JSON that it had in an earlier version, and that is taken too.
        name: its name in Python, in JSON and in `Settings`, whose field says it.
        default: what `Settings` has where it is not given.
    """

    values: Values
    help: str
    group: str
    flag: str = ""
    short: str = ""
    typed: str = ""
    metavar: str = ""
    unset: str | None = None
    ways: frozenset[Way] = EVERYWHERE
    why: str | None = None
    declares: bool = False
    again: Literal["start", "study", "never"] = "start"
    envvar: str | None = None
    label: str = ""
    folded: bool = False
    example: str = ""
    former: str = ""
    name: str = ""
    default: Any = None

    def check(self, value: Any, named: str | None = None) -> Any:
        """A value as `Settings` holds it; None is the default.

        Args:
            named: what the option is called where it was given; by default its name in Python and JSON.

        Raises:
            SweepError: the value cannot be.
        """
        if value is None:
            return self.default
        try:
            return self.values.check(value)
        except Unfit as wrong:
            raise self._refusal(wrong, named or self.name) from None

    def declared(self, value: Any) -> Any:
        """A value as a declaration holds it, where None is no value.

        Raises:
            StudyError: the value cannot be.
        """
        try:
            return self.values.declared(value)
        except Unfit as wrong:
            raise self._refusal(wrong, self.name) from None

    def read(self, texts: str | Sequence[str]) -> Any:
        """What a command line gives it, as `Settings` holds it.

        Args:
            texts: its text, or all of them where it is repeated.

        Raises:
            SweepError: it cannot be.
        """
        try:
            if isinstance(texts, str):
                read = self.values.read(texts)
            else:
                several = [self.values.read(text) for text in texts]
                maps = any(isinstance(each, Mapping) for each in several)
                read = _merged(several) if maps else [each for part in several for each in part]
        except Unfit as wrong:
            raise self._refusal(wrong, self.flag) from None
        return self.check(read, self.flag)

    def of(self, line: Mapping[str, Any]) -> Any:
        """Its value on a command line that has it; see `from_command_line`."""
        return line[self.flag] if isinstance(self.values, Flag) else self.read(line[self.flag])

    def _refusal(self, wrong: Unfit, named: str) -> StudyError:
        return StudyError(f"{named} must be {self.values.expected}, not {wrong.shown}.", hint=wrong.hint)

    def words(self, value: Any) -> list[tuple[str, str | None]]:
        """A value as a command line gives it: the option and its text each time, None for the text of a flag."""
        if isinstance(self.values, Flag):
            return [(self.flag, None)] if value else []
        return [(self.flag, text) for text in self.values.texts(value)]

    @property
    def usual(self) -> Any:
        """What the command line takes where the option is not given."""
        return (os.environ.get(self.envvar) if self.envvar is not None else None) or self.default

    @property
    def title(self) -> str:
        """Its name on the page."""
        return self.label or self.name.replace("_", " ")


def _merged(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for each in several for name, value in each.items()}


def option(default: Any, values: Values, help: str, group: str, **more: Any) -> Any:
    """A field of `Settings` or `Cluster` that describes itself."""
    metadata = {"option": Option(values, help, group, default=default, **more)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def options_of(holder: type) -> dict[str, Option]:
    """The options that the fields of a dataclass describe, by name and in their order."""
    found = {}
    for field in dataclasses.fields(holder):
        if "option" in field.metadata:
            described: Option = field.metadata["option"]
            flag = described.flag or f"--{field.name.replace('_', '-')}"
            found[field.name] = dataclasses.replace(described, name=field.name, flag=flag)
    return found


def _settle(holder: Any) -> None:
    """Check every field of a frozen dataclass that describes itself, and give it the value that it checks to."""
    for name, each in options_of(type(holder)).items():
        object.__setattr__(holder, name, each.check(getattr(holder, name)))


# The options, in the order of the help.

STUDY = "Override the study file"
PARAMETERS = "Parameters"
WORKERS = "Workers and failures"
KEPT = "What is kept, and where"
RAY = "A Ray cluster (with --on ray)"
SHOW = "This terminal"
SERVICE = "A service"

ON_A_NODE = "Start the study on a node of the cluster instead."


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what a worker takes of it.

    Attributes:
        address: `HOST:PORT` of its head; None starts Ray on this machine.
        cpus: cores of a worker.
        gpus: GPUs of a worker, or a part of one; None is one where the cluster has GPUs.
        resources: others, by the names that nodes were started with.
        shared: refuse to begin unless every node sees the log directory.
        dashboard: start Ray's dashboard with it.

    Raises:
        StudyError: an attribute cannot be, or Ray is not installed.
    """

    address: str | None = option(
        None, Values(), "The head of the cluster.", RAY, metavar="HOST:PORT", envvar="RAY_ADDRESS",
        unset="Ray is started here", ways=HERE, why=ON_A_NODE,
    )  # fmt: skip
    cpus: float = option(
        1.0, Amount(), "Cores of a worker.", RAY, flag="--cpus-per-worker", metavar="N", ways=HERE, why=ON_A_NODE,
    )  # fmt: skip
    gpus: float | None = option(
        None, Amount(), "GPUs of a worker, or part of one.", RAY, flag="--gpus-per-worker", metavar="N",
        unset="1 where the cluster has some", ways=HERE, why=ON_A_NODE,
    )  # fmt: skip
    resources: Mapping[str, float] = option(
        {}, Amounts(), "Another resource that a worker takes of its node.", RAY, flag="--resource",
        metavar="NAME=N", ways=HERE, why=ON_A_NODE,
    )  # fmt: skip
    shared: bool = option(
        False, Flag(), "Refuse to start unless every node sees the log directory; otherwise workers bring their files.",
        RAY, flag="--shared-logdir", ways=HERE, why=ON_A_NODE,
    )  # fmt: skip
    dashboard: bool = option(
        False, Flag(), "Start Ray's dashboard too, where Ray is started here.", RAY, ways=HERE, why=ON_A_NODE,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise StudyError("--on ray needs Ray, which is not installed.", hint=f"Run: {install_command('ray')}")
        _settle(self)
        if self.dashboard and self.address is not None:
            raise StudyError("--dashboard applies only where Ray is started here, not with --address.")


@dataclass(frozen=True)
class Settings:
    """The options of one start. What the study file says holds wherever an option is None.

    Every value is checked, and has the same form however it was given: times are seconds, `gpus` a list of texts,
    `fixed` and `enqueue` hold Python's values. `enqueue` may hold run names and `best_of` studies until the search
    space is known, which turns them into parameters.

    Raises:
        SweepError: a value cannot be, or two options do not fit together.
    """

    trials: int | None = option(
        None, Whole(1), "Total number of trials; earlier ones count.", STUDY, metavar="N", unset="20", declares=True,
        again="study", label="trials in all",
    )  # fmt: skip
    timeout: float | None = option(
        None, Time(), "Interrupt the study after this long, as Ctrl-C does: 90, 10m, 2h.", STUDY, metavar="TIME",
        unset="none", declares=True,
    )  # fmt: skip
    budget_epochs: int | None = option(
        None, Whole(1), "Begin no trial once this many epochs are trained, by all trials together.", STUDY,
        metavar="N", unset="none", declares=True, label="epochs in all",
    )  # fmt: skip
    stop_when: Sequence[str] | None = option(
        None, StopRules(),
        "Begin no trial once this holds: 'no better in 20 trials', or a condition that a run fulfils.", STUDY,
        metavar="RULE", unset="none", declares=True, folded=True,
        example="no better in 20 trials, or val_loss < 0.05; one per line",
    )  # fmt: skip
    repeats: int | None = option(
        None, Whole(1, 100), "Train each trial with this many seeds; its value is the mean.", STUDY, metavar="N",
        unset="1", declares=True, again="study", folded=True,
    )  # fmt: skip
    epochs: int | None = option(
        None, Whole(1), "Epochs of a trial, whatever sweep.fit is given.", STUDY, metavar="N",
        unset="as sweep.fit has it", declares=True,
    )  # fmt: skip
    sampler: str | None = option(
        None, SpecText("sampler"), "Proposes parameters: tpe, random, cmaes, grid(lr=[0.1, 0.01]), ...", STUDY,
        metavar="SPEC", unset="tpe", declares=True, again="study",
    )  # fmt: skip
    pruner: str | None = option(
        None, SpecText("pruner"), "Pauses or stops poor runs: asha(rungs=[3, 9]), median, hyperband, nop, ...", STUDY,
        metavar="SPEC", unset="asha", declares=True, again="study",
    )  # fmt: skip
    paused_limit: int | None = option(
        None, Size(), "Prune the worst paused runs where the checkpoints of all paused ones take more: 500MB, 2GB.",
        STUDY, metavar="SIZE", unset="none", declares=True, folded=True,
    )  # fmt: skip
    unpruned: float | None = option(
        None, Share(), "Have the pruner leave a random share of the trials alone, such as 10%, for sweep simulate.",
        STUDY, metavar="SHARE", unset="none", declares=True, again="study", folded=True,
    )  # fmt: skip
    broken: str | None = option(
        None, Choice(BROKEN), "What happens to a run with a severe finding: prune, report or ignore.", STUDY,
        metavar="HOW", unset="prune", declares=True, label="broken runs",
    )  # fmt: skip
    seed: int | None = option(
        None, Whole(0, 2**32 - 1), "Makes the sampler and every trial reproducible.", STUDY, metavar="N",
        unset="drawn once", declares=True, again="study",
    )  # fmt: skip
    name: str | None = option(
        None,
        Pattern(
            STUDY_NAME.pattern,
            "a name of up to 80 letters, digits, `_`, `.` and `-` that begins with a letter, a digit or `_`",
        ),
        "Name of the study.", STUDY, metavar="NAME", unset="the study file's", declares=True, again="study",
    )  # fmt: skip

    fixed: Mapping[str, Value] = option(
        {}, Params(), "Keep a parameter at one value.", PARAMETERS, flag="--set", metavar="NAME=VALUE",
        label="set",
    )  # fmt: skip
    enqueue: Sequence[Mapping[str, Value] | str] = option(
        (), ParamSets(),
        "Try this first: NAME=VALUE,NAME=VALUE (others are proposed), or a run name.",
        PARAMETERS, metavar="PARAMETERS", typed="Or @FILE.json.", again="never", label="try first", folded=True,
        example="lr=0.01,bs=32, or a run name; one per line",
    )  # fmt: skip
    best_of: Sequence[str] = option(
        (), BestOf(), "Try another study's best runs first, or have the sampler learn from all its trials.",
        PARAMETERS, flag="--from", metavar="STUDY:best:N|all", again="never", label="try the best of", folded=True,
        example="STUDY:best:N or STUDY:all, one per line",
    )  # fmt: skip
    yes: bool = option(
        False, Flag(), "Continue although the search space has grown (ranges only) without asking.", PARAMETERS,
        again="never", label="continue with a larger search space", folded=True,
    )  # fmt: skip

    workers: int | None = option(
        None, Whole(0, 100_000), "Processes that train, by default one per core or GPU; 0 trains in this one.", WORKERS,
        metavar="N", unset="1 per core", declares=True,
    )  # fmt: skip
    gpus: Sequence[str] | None = option(
        None, Gpus(), "Train on these GPUs, such as 2,3.", WORKERS, metavar="LIST", unset="all that are free",
        ways=HERE, why="A service uses every free GPU of its machine.",
    )  # fmt: skip
    per_gpu: int = option(
        1, Whole(1, 1000), "Workers that share a GPU.", WORKERS, metavar="N", ways=HERE,
        why="At a service each worker has a GPU to itself.",
    )  # fmt: skip
    retries: int = option(
        0, Whole(0, 1000), "Retry a trial that raises an error up to this many times.", WORKERS, metavar="N",
        folded=True,
    )  # fmt: skip
    stall_timeout: float | None = option(
        None, Time(), "Fail a trial that reports nothing for this long: 90, 10m, 2h.", WORKERS, metavar="TIME",
        unset="none", declares=True, folded=True, former="trial_timeout",
    )  # fmt: skip
    max_trial_time: float | None = option(
        None, Time(), "Have a trial finish early that has trained for this long in all: 90, 10m, 2h.", WORKERS,
        metavar="TIME", unset="none", declares=True, folded=True,
    )  # fmt: skip
    trial_seed: int | None = option(
        None, Whole(0, 2**32 - 1), "Seed of every trial, in place of one for each.", WORKERS,
        ways=frozenset({"python"}),
    )  # fmt: skip

    keep: str = option(
        "all", Pattern("all|none|best:[1-9][0-9]{0,8}", "all, none or best:N", ("all", "none", "best:3")),
        "Whose weights to keep: all, none, or best:N, those of the N best runs; see sweep.load.", KEPT, metavar="WHICH",
        label="keep weights",
    )  # fmt: skip
    logdir: str = option(
        "runs", Values(), "The log directory; each study has a folder in it, and stays there.", KEPT, metavar="DIR",
        ways=HERE,
        envvar="SWEEP_LOGDIR", why="A service has a log directory of its own.",
    )  # fmt: skip
    storage: str = option(
        "sqlite:///sweep.db", Values(), "The database, such as sqlite:///sweep.db or postgresql://user@host/sweep.",
        KEPT, metavar="URL", ways=HERE, envvar="SWEEP_STORAGE", why="A service has a database of its own.",
    )  # fmt: skip

    cluster: Cluster | None = option(  # noqa: RUF009
        None, Places(), "Where workers run: on this machine, or on a Ray cluster.", RAY, flag="--on",
        metavar="here|ray", unset="here", ways=HERE,
        why=ON_A_NODE,
    )  # fmt: skip

    names: bool = option(
        False, Flag(), "Show run names instead of parameters.", SHOW, ways=HERE, why="A service shows no display.",
    )  # fmt: skip
    quiet: bool = option(
        False, Flag(), "Print only warnings and errors.", SHOW, short="-q",
        ways=TERMINAL, why="A service shows no display.",
    )  # fmt: skip
    verbose: bool = option(
        False, Flag(), "Print a line for each epoch of each run.", SHOW, short="-v",
        ways=TERMINAL, why="A service shows no display.",
    )  # fmt: skip
    log_format: str = option(
        "text", Choice(("text", "json")), "Print text, or json: an event per line on standard error.", SHOW,
        metavar="FORMAT", ways=TERMINAL, why="A service shows no display.",
    )  # fmt: skip
    detach: bool = option(
        False, Flag(), "Train in the background, also when this terminal closes; see sweep watch.", SHOW,
        ways=TERMINAL, why="A service always trains in the background.",
    )  # fmt: skip
    notify: str | None = option(
        None, Values(), "Run this at the end and after five failures in a row, with SWEEP_MESSAGE and SWEEP_EVENT set.",
        SHOW, metavar="COMMAND", ways=TERMINAL, why="A service runs no commands.",
    )  # fmt: skip

    server: str | None = option(
        None, Values(), "Start the study at this service (sweep serve); its token is read from SWEEP_TOKEN.", SERVICE,
        metavar="URL", ways=TERMINAL, envvar="SWEEP_SERVER", again="never",
    )  # fmt: skip

    def __post_init__(self) -> None:
        _settle(self)
        if self.cluster is not None and (self.gpus is not None or self.per_gpu != 1):
            raise StudyError("--gpus and --per-gpu apply to this machine only.", hint="On Ray, use --gpus-per-worker.")
        if self.cluster is not None and self.workers == 0:
            raise StudyError("--workers must be at least 1 on Ray, not 0.")

    @property
    def names_logdir(self) -> bool:
        """Whether the log directory was given; a study that continues has its own."""
        return self.logdir != str(OPTIONS["logdir"].usual)

    @property
    def kept_best(self) -> int | None:
        """Of how many of the best runs the weights are kept; None where all are kept, or none."""
        return int(self.keep.removeprefix("best:")) if self.keep.startswith("best:") else None

    @property
    def taught_by(self) -> list[str]:
        """The studies all of whose trials teach the sampler, as `STUDY:all`."""
        return [text for text in self.best_of if text.endswith(ALL)]

    @property
    def tried_first(self) -> list[str]:
        """The runs of other studies whose parameters are tried first."""
        return [text for text in self.best_of if not text.endswith(ALL)]

    def declared(self) -> dict[str, Any]:
        """What takes the place of the study file's words; None where nothing does."""
        return {name: getattr(self, name) for name, each in OPTIONS.items() if each.declares}

    def check_specs(self) -> None:
        """See that the sampler and the pruner can be made here, which a service's client cannot know. Imports Optuna.

        Those that name a module are made by the study alone, which knows where its file is.

        Raises:
            StudyError: Optuna refuses one of their settings, or a package is missing.
        """
        if self.sampler is not None and not names_module("sampler", self.sampler):
            make_sampler(self.sampler, self.seed)
        if self.pruner is not None and not names_module("pruner", self.pruner):
            make_pruner(self.pruner)


OPTIONS = options_of(Settings)
"""Every option by name, in the order of the help; those of a cluster are in `CLUSTER`."""

FORMER = {each.former: name for name, each in OPTIONS.items() if each.former}
"""Options by their names in earlier versions."""

CLUSTER = options_of(Cluster)
"""The options that describe a cluster, by their names in `Cluster`."""


def groups(chosen: Iterable[Option]) -> dict[str, list[Option]]:
    """Options by their headings, both in the order of the table."""
    found: dict[str, list[Option]] = {}
    for each in chosen:
        found.setdefault(each.group, []).append(each)
    return found


def command_line() -> list[Option]:
    """The options of `sweep start`, in the order of its help."""
    found = []
    for each in OPTIONS.values():
        if "cli" in each.ways:
            found.append(each)
        if isinstance(each.values, Places):
            found.extend(CLUSTER.values())
    return found


def of_way(way: Way) -> dict[str, Option]:
    """The options that can be given in a way, by name."""
    return {name: each for name, each in OPTIONS.items() if way in each.ways}


def from_command_line(line: Mapping[str, Any]) -> Settings:
    """The settings that a command line means.

    Args:
        line: by flag, what was given: a text, a list of texts, or True.

    Raises:
        SweepError: an option cannot be as it was given.
    """
    read, parts = (
        {name: each.of(line) for name, each in table.items() if each.flag in line} for table in (OPTIONS, CLUSTER)
    )
    if read.get("cluster") is not None:
        read["cluster"] = dataclasses.replace(read["cluster"], **parts)
        return Settings(**read)
    alone = [name for name, value in parts.items() if CLUSTER[name].envvar is None or value != CLUSTER[name].usual]
    if alone:
        raise StudyError(f"{CLUSTER[alone[0]].flag} applies only to a Ray cluster.", hint="Add --on ray.")
    return Settings(**read)


def present(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given by name, with the present names of options that were given by their former ones.

    Raises:
        StudyError: an option was given by both.
    """
    for former, name in FORMER.items():
        if former in given and name in given:
            raise StudyError(f"{former} is the former name of {name}, so both cannot be given.")
    return {FORMER.get(name, name): value for name, value in given.items()}


def present_flag(flag: str) -> str:
    """A flag of the command line, without its hyphens, or the present one where it is a former one."""
    name = FORMER.get(flag.replace("-", "_"))
    return OPTIONS[name].flag.removeprefix("--") if name is not None else flag


def from_keywords(keywords: Mapping[str, Any]) -> Settings:
    """The settings that the arguments of `study.run` mean; None leaves an option out.

    Raises:
        SweepError: there is no such option, it cannot be given here, or not as it was.
    """
    keywords = present(keywords)
    check_names(keywords, "python")
    for kind in ("sampler", "pruner"):
        if keywords.get(kind) is not None:
            keywords[kind] = spec_text(kind, keywords[kind])
    return Settings(**keywords)


def check_names(names: Iterable[str], way: Way) -> None:
    """Refuse options that do not exist, or that cannot be given in a way.

    Raises:
        StudyError: the first of them, with the nearest name, or with what to do instead.
    """
    offered = of_way(way)
    for name in names:
        if name in offered:
            continue
        if name in OPTIONS:
            raise elsewhere(OPTIONS[name], way)
        hint = meant(name, offered) or f"The options are {', '.join(offered)}."
        raise StudyError(f"No such option: {shown(name)[1:-1]}.", hint=hint)


def elsewhere(option: Option, way: Way) -> StudyError:
    """The error about an option that cannot be given in a way; with `cli` it was given together with --server."""
    if way == "python":
        return StudyError(f"{option.name} applies only to `sweep start`, not to study.run().")
    if way == "cli":
        return StudyError(f"{option.flag} cannot be combined with --server.", hint=option.why)
    return StudyError(f"{option.name} cannot be set at a service.", hint=option.why)


def given(settings: Settings, way: Way | None = None) -> dict[str, Any]:
    """What a start was given: each option that is not at its default, by name.

    Args:
        way: only options that can be given in this way.
    """
    chosen = OPTIONS if way is None else of_way(way)
    return {name: value for name in chosen if (value := getattr(settings, name)) != chosen[name].default}


def words(settings: Settings, names: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Some options as a command line gives them, where they are not what it would take anyway.

    Args:
        names: which, by name.
    """
    for name in names:
        each, value = OPTIONS[name], getattr(settings, name)
        if value is not None and value != each.usual:
            yield from each.words(value)
        if isinstance(value, Cluster):
            for part, of in CLUSTER.items():
                if (amount := getattr(value, part)) is not None and amount != of.usual:
                    yield from of.words(amount)


def describe(run: Any) -> None:
    """Give `Study.run` the signature and the description of what it takes, for `help` and notebooks."""
    types = {field.name: field.type for field in dataclasses.fields(Settings)}
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    offered = of_way("python")
    run.__signature__ = inspect.Signature(
        [own]
        + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=types[name])
            for name, each in offered.items()
        ]
    )
    lines = [f"            {name}: {each.help}" for name, each in offered.items()]
    run.__doc__ = (run.__doc__ or "").rstrip() + "\n\n        Options:\n" + "\n".join(lines) + "\n        "
