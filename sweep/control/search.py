"""The search itself: Optuna's study in memory, what it suggests and why it prunes, and the keys of its run names.

Nothing here knows of workers, processes or the database. Not thread-safe: the sampling thread has it.
"""

import contextlib
import copy
import logging
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, distribution_to_json, json_to_distribution
from optuna.samplers import BruteForceSampler, GridSampler
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, TrialState

from sweep.control.domains import check_text, coerce, describe, fit, has_grown
from sweep.control.earlier import Earlier, InformedSampler
from sweep.control.pruning import Pruning
from sweep.control.sampler import AvoidingSampler, OwnSampler, RoundingSampler, innermost
from sweep.control.storage import WriteBehindStorage
from sweep.declaration import Declaration, Value
from sweep.errors import StudyError
from sweep.names import KeyTable, encode, is_same
from sweep.specs import make_sampler, names_module
from sweep.store import CONTINUES, DELETED, REVIVES, RUN, RunRecord
from sweep.store.trials import added_run


class WiderSpace(StudyError):
    """A numeric range has grown, with which a study may continue if somebody says so."""


class UnfitValue(StudyError):
    """Another program has queued a trial with a value that the study's domain does not have."""


class Search:
    """A study in memory.

    Args:
        declaration: with a seed.
        earlier: trials of other studies that teach the sampler.
        fixed: parameters that keep one value in every trial.
        trials: what the study has already, by number; those that are RUNNING will be run again.
        attributes: the user and system attributes of the study.
        keys, space: the key table and search space that stand with the study.
        changed: the study file is not the one that `space` came from: a parameter must then be one of `space`.
        trial_seed: the seed of every trial; by default each has its own.
        widen: whether a numeric range may have grown since `space`.
        advise: the advice for a search space that has changed otherwise, given the parameters that fit the new one.
    """

    def __init__(
        self,
        declaration: Declaration,
        *,
        earlier: Earlier | None = None,
        fixed: Mapping[str, Value] | None = None,
        trials: Sequence[FrozenTrial] = (),
        attributes: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
        keys: Mapping[str, str] | None = None,
        space: Mapping[str, list[str]] | None = None,
        changed: bool = False,
        trial_seed: int | None = None,
        widen: bool = False,
        advise: Callable[[Collection[str]], str] = lambda _: "Start it under a new name.",
    ) -> None:
        self.declaration = declaration
        self.fixed = dict(fixed or {})
        self.keys = KeyTable(short=declaration.short, table=keys or {})
        self.earlier = earlier if earlier is not None else Earlier()
        self._space = {name: tuple(known) for name, known in (space or {}).items()}
        self._agreed = dict(self._space) if changed and space else None
        self.same_space = self._agreed is None  # or seen since to be the same, by a trial with all its parameters
        self._widen = widen
        self._enqueued: list[dict[str, Value]] = []  # by this start
        self._unfit: dict[int, FrozenTrial] = {}  # trials of others that the search space does not have, as they are
        self.earlier.fit(self._space)
        self.storage = WriteBehindStorage()
        self.study = self._make_study(len(trials))
        self.storage.load(trials, *attributes)
        self._arrange_grid()
        self.pruning = Pruning(
            self.study, declaration.pruner, objective=declaration.objective[0], file=declaration.file
        )
        self._trial_seed = trial_seed
        self._advise = advise
        self._stopped = False

    def _make_sampler(self, trials: int) -> optuna.samplers.BaseSampler:
        declaration = self.declaration
        # A sampler that starts over with the study's seed would propose the same trials again, its own or others'.
        known = trials + self.earlier.total
        seed = None if declaration.seed is None else (declaration.seed + known) % 2**32
        sampler = make_sampler(declaration.sampler, seed, declaration.file)
        if names_module("sampler", declaration.sampler):
            sampler = OwnSampler(sampler, declaration.sampler)
        if self.earlier:
            sampler = InformedSampler(sampler, lambda: self.earlier.trials)
        if self.fixed:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.PartialFixedSampler(self.fixed, sampler)
        if declaration.precision is not None:
            sampler = RoundingSampler(sampler)
        return AvoidingSampler(sampler, self._hopeless_params, seed)

    def sampler_elsewhere(self) -> optuna.samplers.BaseSampler:
        """The sampler, for this study as the database has it: most remember the one study that they have seen."""
        return self.study.sampler if self._grid() is not None else self._make_sampler(len(self.trials()))

    def _make_study(self, trials: int) -> optuna.Study:
        declaration = self.declaration
        sampler = self._make_sampler(trials)
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(max(level, logging.WARNING))
        try:
            study = optuna.create_study(
                storage=self.storage,
                study_name=declaration.name,
                directions=[optuna.study.StudyDirection[text.upper()] for text in declaration.direction],
                sampler=sampler,
                load_if_exists=True,
            )
        finally:
            optuna.logging.set_verbosity(level)
        return study

    @property
    def space(self) -> dict[str, list[str]]:
        """Each parameter with the distributions (Optuna's JSON) it was suggested with."""
        return {name: list(known) for name, known in self._space.copy().items()}

    @property
    def exhausted(self) -> bool:
        """Whether the sampler has nothing more to propose: every point of a grid has begun, and runs or has run."""
        return self._stopped or self._grid_has_begun()

    def _grid(self) -> GridSampler | None:
        """The sampler, if it is a grid."""
        found = innermost(self.study.sampler)
        return found if isinstance(found, GridSampler) else None

    def _grid_has_begun(self) -> bool:
        grid = self._grid()
        if grid is None:
            return False
        begun = {
            trial.system_attrs["grid_id"]
            for trial in self.trials()
            if "grid_id" in trial.system_attrs and grid._same_search_space(trial.system_attrs["search_space"])
        }
        waiting = any(trial.state == TrialState.WAITING for trial in self.trials())
        return len(begun) >= len(grid._all_grids) and not waiting

    def _arrange_grid(self) -> None:
        """Have a grid know which of its points the study has trained, also where the grid was changed since.

        Optuna knows a point by its place in the grid, which each start shuffles and a further value moves; and a trial
        whose number is a place takes the point that is there.
        """
        grid = self._grid()
        if grid is None:
            return
        trials = [trial for trial in self.trials() if "grid_id" in trial.system_attrs]
        names = [name for name in grid._param_names if name not in self.fixed]
        at = [grid._param_names.index(name) for name in names]
        left = list(grid._all_grids)
        trained: dict[int, Any] = {}  # the points by trial number
        for trial in trials:
            point = next((one for one in left if _has_point(trial, names, [one[index] for index in at])), None)
            if point is not None:
                left.remove(point)
                trained[trial.number] = point
        size = len(grid._all_grids)
        places = {number: number for number in trained if number < size}
        unused = [place for place in range(size) if place not in places]
        for number in trained:
            if number not in places:
                places[number] = unused.pop(0)  # below every number that is still to come
        rest = iter(left)
        by_place = {place: trained[number] for number, place in places.items()}
        grid._all_grids = [by_place[place] if place in by_place else next(rest) for place in range(size)]
        for trial in trials:
            kept = {
                name: value for name, value in trial.system_attrs.items() if name not in ("grid_id", "search_space")
            }
            if trial.number in places:
                kept |= {"grid_id": places[trial.number], "search_space": grid._search_space}
            changed = copy.copy(trial)
            changed.system_attrs = kept
            self.storage.replace(changed)

    def trials(self) -> list[FrozenTrial]:
        """All trials by number; not copies."""
        return self.study.get_trials(deepcopy=False)

    def frozen(self, trial: optuna.Trial | FrozenTrial) -> FrozenTrial:
        """A trial as it stands."""
        return self.storage.get_trial(trial._trial_id)

    def enqueue(self, several: Iterable[Mapping[str, Value]], *, again: bool = False) -> None:
        """Put parameters first in the queue, except for those that the study has had.

        Parameters that are given twice are trained twice.

        Args:
            several: the parameters, whole or in part.
            again: whether trials that have ended do not count.
        """
        there = [trial for trial in self.trials() if not (again and trial.state.is_finished())]
        had = [dict(trial.system_attrs.get("fixed_params", trial.params)) for trial in there]
        for params in map(dict, several):
            self._enqueued.append(params)
            if params in had:
                had.remove(params)
            else:
                self.study.enqueue_trial(params)

    def ask(self) -> optuna.Trial:
        """A new trial, or the next of the queue."""
        return self.study.ask()

    def ask_several(self, most: int) -> list[optuna.Trial]:
        """At most `most` new trials, whose numbers are claimed together.

        One at a time where the queue has some, and where the sampler decides at each trial whether there is another.
        """
        counts = isinstance(innermost(self.study.sampler), GridSampler | BruteForceSampler)
        if most == 1 or counts or self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return [self.ask()]
        self.study._thread_local.cached_all_trials = None  # as Optuna's `ask` does
        return [optuna.Trial(self.study, number) for number in self.storage.create_trials(most)]

    def again(self, number: int) -> optuna.Trial:
        """A trial that is run again, with the parameters it has."""
        self.storage.resume(number)
        return optuna.Trial(self.study, self.trials()[number]._trial_id)

    def suggest(self, trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Value:
        """The value of a parameter; its key in run names is assigned with the first suggestion.

        Raises:
            UnfitValue: the trial was queued by another program, with a value that is none of the domain's.
            StudyError: the study had another search space, a fixed or enqueued value is none of the domain's, or Optuna
                refuses the domain.
        """
        check_text("A parameter's name", name)
        self._check_agreed(name, distribution, self.frozen(trial).params)
        queued = self.frozen(trial).system_attrs.get("fixed_params", {})
        given = {**queued, **self.fixed}
        if name in given:
            try:
                coerce(name, given[name], distribution)
            except StudyError as error:
                if name in self.fixed or queued in self._enqueued:
                    raise
                raise UnfitValue(
                    f"The trial was queued with {name} = {given[name]!r}, which is none of {describe(distribution)}."
                ) from error
        try:
            trial._suggest(name, distribution)
        except ValueError as error:
            raise StudyError(f"Optuna does not accept the domain of {name}: {error}") from error
        value: Value = self.frozen(trial).params[name]  # as the domain has it: an enqueued 1 is 1.0
        self.keys.assign(name)
        text = distribution_to_json(distribution)
        known = self._space.get(name, ())
        if text not in known:
            self._space[name] = (*known, text)
            self._fit_others()
        return value

    def learn(self, numbers: Iterable[int]) -> list[tuple[RunRecord, Mapping[int, float]]]:
        """Learn from trials of other programs.

        Samplers learn from one once the search space has all its parameters with these values: a value of another kind
        would make them fail, and one parameter too many spoils what they infer.

        Returns:
            runs of those that have ended, each with the values that it has reported by step.
        """
        found: list[tuple[RunRecord, Mapping[int, float]]] = []
        for number in dict.fromkeys(numbers):
            trial = self.storage.theirs(number)
            if trial is None or not trial.state.is_finished() or DELETED in trial.system_attrs:
                continue
            run = added_run(trial, self.declaration.name, self.keys, self.declaration.objectives[0])
            found.append((run, dict(trial.intermediate_values)))
            if self.pruning.judge is None:  # else the core has it
                self.pruning.ended(trial)
            self._unfit[number] = trial
        self._fit_others()
        return found

    def _fit_others(self) -> None:
        self.earlier.fit(self._space)
        for number, trial in list(self._unfit.items()):
            fitted = fit(trial, self._space)
            if fitted is not None:
                del self._unfit[number]
                self.storage.replace(fitted)
            elif self.storage.get_trial(number).state != TrialState.FAIL:
                hidden = copy.copy(trial)
                hidden.state = TrialState.FAIL
                self.storage.replace(hidden)

    def _check_agreed(self, name: str, distribution: BaseDistribution, params: Mapping[str, Value]) -> None:
        """Refuse a search space that a changed study file has changed, before trials of two spaces mix.

        Args:
            params: what the trial has been given so far, from domains that have not changed.
        """
        if self._agreed is None:
            return
        known = self._agreed.get(name)
        study = self.declaration.name
        if known is None:
            raise StudyError(f"The trials of study {study} have no parameter {name}.", hint=self._advise(params))
        text = distribution_to_json(distribution)
        if len(known) != 1 or text in known:  # with several, ranges depend on trials
            return
        before = json_to_distribution(known[0])
        if not has_grown(before, distribution):
            was, now = (
                f"one of {describe(domain)}" if isinstance(domain, CategoricalDistribution) else describe(domain)
                for domain in (before, distribution)
            )
            fits = {name} if self._has_value(name, distribution) else set()
            raise StudyError(
                f"{name} is {was} in the trials of study {study}, and is now {now}.",
                hint=self._advise({*params, *fits}),
            )
        if not self._widen:
            raise WiderSpace(
                f"The range of {name} has grown: it is {describe(before)} in the trials of study {study}, and now "
                f"{describe(distribution)}.",
                hint="To continue with the wider range, pass --yes (in Python, yes=True). "
                + self._advise({*params, name}),
            )
        self._agreed[name] = self._space[name] = (text,)
        self._refit(name, before, distribution)

    def _has_value(self, name: str, distribution: BaseDistribution) -> bool:
        """Whether a domain has a value that a complete trial had."""
        for trial in self.trials():
            if trial.state == TrialState.COMPLETE and name in trial.params:
                with contextlib.suppress(StudyError):
                    coerce(name, trial.params[name], distribution)
                    return True
        return False

    def _refit(self, name: str, before: BaseDistribution, now: BaseDistribution) -> None:
        """Have the trials so far teach the sampler about a range that has grown; it would compare equal ranges only."""
        for trial in self.trials():
            if trial.state.is_finished() and trial.distributions.get(name) == before:
                changed = copy.copy(trial)
                changed.distributions = {**trial.distributions, name: now}
                self.storage.replace(changed)

    def check_complete(self, params: Mapping[str, Value]) -> None:
        """Refuse a search space in which a parameter that every trial had is gone."""
        if self._agreed is None:
            return
        ours = [trial for trial in self.trials() if self.storage.is_ours(trial.number)]
        finished = [trial for trial in ours if trial.state.is_finished() and trial.params]
        always = set(self._agreed).intersection(*(trial.params for trial in finished)) if finished else set()
        gone = sorted(always - params.keys())
        if gone:
            raise StudyError(
                f"The trials of study {self.declaration.name} have a parameter {gone[0]}, which is gone.",
                hint=self._advise(params),
            )
        self.same_space = True

    def revive(self, number: int) -> None:
        """Queue a new trial with the parameters of one that was pruned, which continues from its checkpoint."""
        self.study.enqueue_trial(self.trials()[number].params, user_attrs={REVIVES: number})

    def continued(self, number: int) -> optuna.Trial:
        """A new trial that continues one that was pruned and is due again; it does not wait in the queue."""
        (new,) = self.storage.create_trials(1)
        self.storage.set_trial_system_attr(new, "fixed_params", self.trials()[number].params)  # as `enqueue_trial` does
        self.storage.set_trial_user_attr(new, REVIVES, number)
        self.storage.set_trial_user_attr(new, CONTINUES, True)
        self.study._thread_local.cached_all_trials = None  # as Optuna's `ask` does
        return optuna.Trial(self.study, new)

    def revived(self, number: int) -> bool:
        """Whether a trial was queued that goes on with this one."""
        return any(trial.user_attrs.get(REVIVES) == number for trial in self.trials())

    def revives(self, trial: optuna.Trial) -> int | None:
        """The trial that this one goes on with, if there is one."""
        number: int | None = self.frozen(trial).user_attrs.get(REVIVES)
        return number

    def is_scheduled(self, trial: optuna.Trial) -> bool:
        """Whether a trial that continues another one does so since that is due again."""
        return CONTINUES in self.frozen(trial).user_attrs

    def hopeless(self, trial: FrozenTrial) -> int | None:
        """A trial before this one with the same parameters that failed for them, if there is one."""
        return next(
            (number for number in self.storage.disguised() if self.trials()[number].params == trial.params), None
        )

    def _hopeless_params(self) -> list[Mapping[str, Value]]:
        """The parameters of trials that failed for them."""
        return [self.storage.get_trial(number).params for number in self.storage.disguised()]

    def teach(self, number: int) -> None:
        """Have samplers learn that a trial which has failed did so for its parameters."""
        self.storage.hold_against(number)

    def name(self, trial: FrozenTrial, family: str, architecture: str | None) -> str:
        """The run name of a trial, which becomes one of its user attributes."""
        name = encode(trial.params, number=trial.number, family=family, keys=self.keys, architecture=architecture)
        self.keys.settle()
        self.storage.set_trial_user_attr(trial._trial_id, RUN, name)
        return name

    def seed(self, number: int) -> int:
        """The seed of one trial, of 31 bits: NumPy's SeedSequence over the study's seed and the trial's number."""
        if self._trial_seed is not None:
            return self._trial_seed
        return int(np.random.SeedSequence([self.declaration.seed or 0, number]).generate_state(1)[0]) >> 1

    def report(self, trial: optuna.Trial, step: int, value: float) -> None:
        """Record the objective's value at an epoch (counted from 0)."""
        self.storage.set_trial_intermediate_value(trial._trial_id, step, float(value))

    def note_rung(self, trial: optuna.Trial, step: int, value: float) -> None:
        """Have the rung noted that a trial reached with a value in an earlier attempt, without judging it again."""
        self.pruning.note(trial.number, step, value)

    def tell(
        self,
        trial: optuna.Trial | FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
        *,
        hopeless: bool = False,
    ) -> FrozenTrial:
        """End a trial; others are held against it from now on.

        Args:
            trial: as `ask` or `again` gave it; one that is paused as the storage has it.
            hopeless: it failed for its parameters. Optuna's samplers pass over failed trials, and rank a pruned one
                that has reported little below all others: for them it is one, and FAIL in the tables and for us.
        """
        if hopeless:
            self.storage.disguise(trial._trial_id, state)
            ended = copy.copy(self.tell(trial, TrialState.PRUNED, None))
            ended.state = state
            return ended
        try:
            # As `Study.tell`, which copies all of the trial once more.
            told = trial if isinstance(trial, optuna.Trial) else trial.number
            _tell_with_warning(
                self.study, told, list(values) if state == TrialState.COMPLETE and values else None, state
            )
        except RuntimeError:
            # Grid and brute force stop the study at their last trial, which is stored by then.
            self._stopped = True
            if not self.frozen(trial).state.is_finished():
                raise
        frozen = self.frozen(trial)
        if self.pruning.judge is None:
            self.pruning.ended(frozen)
        return frozen


def _has_point(trial: FrozenTrial, names: Sequence[str], point: Sequence[Any]) -> bool:
    """Whether a trial has the parameters of a grid's point."""
    missing = object()
    return all(is_same(trial.params.get(name, missing), value) for name, value in zip(names, point, strict=True))
