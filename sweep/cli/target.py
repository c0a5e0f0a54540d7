"""Which study, and which of its runs, a command line means."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.cli.output import on_terminal, say
from sweep.errors import SweepError
from sweep.read.runs import Pattern, choose_study, find_run
from sweep.read.studies import is_running, nothing_to, study_state
from sweep.store import RunRecord, Store, StudyRecord

BY_HAND = "by hand"
"""The reason of a command that a person gives."""


@dataclass(frozen=True)
class Target:
    """A study, and a pattern for its runs if one was given."""

    study: StudyRecord
    pattern: str | None

    def compiled(self) -> Pattern | None:
        """The pattern ready to match.

        Raises:
            FilterError: it is no regular expression.
        """
        if self.pattern is None:
            return None
        from sweep.read.filters import compile_pattern

        return compile_pattern(self.pattern)


def named_study(store: Store, name: str | None) -> StudyRecord:
    """The study called `name`; where it was left out the only one there is, which is then named.

    On a terminal whatever is printed about the study names it; where standard output is piped, stderr does.
    """
    study = choose_study(store, name)
    if name is None and not on_terminal():
        say(f"study {study.name}")
    return study


def named_run(store: Store, words: Sequence[str]) -> tuple[StudyRecord, RunRecord]:
    """The run of `[STUDY] RUN`.

    Raises:
        SweepError: there are more words than that.
        StoreError: there is no such run, or one in each of several studies.
    """
    if len(words) > 2:
        raise SweepError(f"Too many arguments: {' '.join(words)}.", "Give RUN, or STUDY RUN.")
    *study_names, text = words
    return find_run(store, text, study_names[0] if study_names else None)


def find_target(store: Store, first: str | None, second: str | None, option: str | None) -> Target:
    """The study and pattern of `[STUDY] [PATTERN] --filter PATTERN`.

    A single argument is the study of that name or else, where there is only one study, the pattern.

    Raises:
        SweepError: two patterns were given, there is no such study, or none was named where there are several.
    """
    if second is not None and option is not None:
        raise SweepError(f"Two patterns given: {second!r} and --filter {option!r}.", "Give only one.")
    if first is None or second is not None or option is not None or store.find_study(first) is not None:
        return Target(named_study(store, first), second if second is not None else option)
    if len(store.studies()) != 1:
        return Target(store.study(first), None)
    return Target(named_study(store, None), first)


def check_running(store: Store, study: StudyRecord, verb: str) -> None:
    """Refuse a command that nobody would obey: it would lie in the store until the study is started again.

    Raises:
        SweepError: the study is not running.
    """
    if not is_running(store, study):
        state = study_state(study, store.counts(study.study_id), running=False)
        raise SweepError(nothing_to(verb, study.name, state))
