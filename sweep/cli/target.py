"""Which study, and which of its runs, a command line means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sweep.cli.output import on_terminal, say
from sweep.errors import SweepError
from sweep.store import RunRecord, Store, StudyRecord
from sweep.view.runs import find_run
from sweep.view.selection import Selected, Selection
from sweep.view.studies import choose_study, is_running, nothing_to, study_state

BY_HAND = "by hand"
"""The reason of a command that a person gives."""


@dataclass(frozen=True)
class Target:
    """A study, and a pattern for its runs if one was given."""

    study: StudyRecord
    pattern: str | None

    def select(
        self,
        store: Store,
        *,
        states: frozenset[str] = frozenset(),
        where: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Selected:
        """The study's runs that match, see `Selection`.

        Raises:
            FilterError: the pattern or the condition is malformed.
            SweepError: there is nothing to sort by under that name.
        """
        wanted = Selection(self.pattern or "", where or "", states, sort=sort or "", limit=limit)
        study_id = self.study.study_id
        return wanted.of(self.study, store.runs(study_id), partial(store.last_metrics, study_id))


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

    A single argument is the name of a study; if there is no such study, but only one study, it is the pattern.

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
