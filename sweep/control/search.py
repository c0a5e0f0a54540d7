"""The search itself: Optuna's study in memory, what it suggests and why it prunes, and the keys of its run names.

Nothing here knows of workers, processes or the database.
"""

import copy
import logging
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from sweep.control.domains import check_text, coerce, describe
from sweep.control.pruning import Pruning
from sweep.control.sampling import RoundingSampler
from sweep.control.storage import WriteBehindStorage
from sweep.declaration import Declaration, Value
from sweep.errors import StudyError
from sweep.names import KeyTable, encode
from sweep.specs import make_sampler
from sweep.store import REVIVES


class Search:
    """A study in memory.

    Args:
        declaration: with a seed.
        fixed: parameters that keep one value in every trial.
        trials: what the study has already, by number; those that are RUNNING will be run again.
        attributes: the user and system attributes of the study.
        keys, space: the key table and search space that stand with the study.
        changed: the study file is not the one that `space` came from: a parameter must then be one of `space`.
        trial_seed: the seed of every trial; by default each has its own.
    """

    def __init__(
        self,
        declaration: Declaration,
        *,
        fixed: Mapping[str, Value] | None = None,
        trials: Sequence[FrozenTrial] = (),
        attributes: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
        keys: Mapping[str, str] | None = None,
        space: Mapping[str, list[str]] | None = None,
        changed: bool = False,
        trial_seed: int | None = None,
    ) -> None:
        self.declaration = declaration
        self.fixed = dict(fixed or {})
        self.keys = KeyTable(short=declaration.short, table=keys or {})
        self._space = {name: tuple(known) for name, known in (space or {}).items()}
        self._agreed = dict(self._space) if changed and space else None
        self._sampling = threading.Lock()  # samplers are not made for several threads
        self.storage = WriteBehindStorage()
        self.study = self._make_study(len(trials))
        self.storage.load(trials, *attributes)
        self.pruning = Pruning(self.study, declaration.pruner, objective=declaration.objective[0])
        self._trial_seed = trial_seed
        self._stopped = False

    def _make_study(self, trials: int) -> optuna.Study:
        declaration = self.declaration
        # A sampler that starts over with the study's seed would propose the same trials again.
        seed = None if declaration.seed is None else (declaration.seed + trials) % 2**32
        sampler = make_sampler(declaration.sampler, seed)
        if self.fixed:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.PartialFixedSampler(self.fixed, sampler)
        if declaration.precision is not None:
            sampler = RoundingSampler(sampler)
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

    def _grid_has_begun(self) -> bool:
        sampler = self.study.sampler
        while isinstance(sampler, RoundingSampler | optuna.samplers.PartialFixedSampler):
            sampler = sampler.sampler if isinstance(sampler, RoundingSampler) else sampler._base_sampler
        if not isinstance(sampler, optuna.samplers.GridSampler):
            return False
        begun = {
            trial.system_attrs["grid_id"]
            for trial in self.trials()
            if "grid_id" in trial.system_attrs and sampler._same_search_space(trial.system_attrs["search_space"])
        }
        waiting = any(trial.state == TrialState.WAITING for trial in self.trials())
        return len(begun) >= len(sampler._all_grids) and not waiting

    def trials(self) -> list[FrozenTrial]:
        """All trials by number; not copies."""
        return self.study.get_trials(deepcopy=False)

    def frozen(self, trial: optuna.Trial) -> FrozenTrial:
        """A trial as it stands."""
        return self.storage.get_trial(trial._trial_id)

    def enqueue(self, several: Iterable[Mapping[str, Value]], *, again: bool = False) -> None:
        """Put parameters first in the queue, unless the study has had them; `again`: unless they have not ended yet."""
        for params in several:
            had = [trial for trial in self.trials() if not (again and trial.state.is_finished())]
            if not any(trial.system_attrs.get("fixed_params", trial.params) == dict(params) for trial in had):
                self.study.enqueue_trial(dict(params))

    def ask(self) -> optuna.Trial:
        """A new trial, or the next of the queue. Sampling may take as long as the sampler does."""
        with self._sampling:
            return self.study.ask()

    def again(self, number: int) -> optuna.Trial:
        """A trial that is run again, with the parameters it has."""
        self.storage.resume(number)
        with self._sampling:
            return optuna.Trial(self.study, self.trials()[number]._trial_id)

    def suggest(self, trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Value:
        """The value of a parameter; its key in run names is assigned with the first suggestion.

        Raises:
            StudyError: the study had another search space, a fixed or enqueued value is none of the domain's, or Optuna
                refuses the domain.
        """
        check_text("a parameter's name", name)
        self._check_agreed(name, distribution)
        given = {**self.frozen(trial).system_attrs.get("fixed_params", {}), **self.fixed}
        if name in given:
            coerce(name, given[name], distribution)
        try:
            with self._sampling:
                trial._suggest(name, distribution)
        except ValueError as error:
            raise StudyError(f"the domain of {name} must be one that Optuna takes", str(error)) from error
        value: Value = self.frozen(trial).params[name]  # as the domain has it: an enqueued 1 is 1.0
        self.keys.assign(name)
        text = distribution_to_json(distribution)
        with self._sampling:
            known = self._space.get(name, ())
            if text not in known:
                self._space[name] = (*known, text)
        return value

    def _check_agreed(self, name: str, distribution: BaseDistribution) -> None:
        """Refuse a search space that a changed study file has changed, before trials of two spaces mix."""
        if self._agreed is None:
            return
        known = self._agreed.get(name)
        if known is None:
            raise self._other_space(f"a new parameter, {name}")
        if len(known) == 1 and distribution_to_json(distribution) not in known:  # with several, ranges depend on trials
            before = describe(json_to_distribution(next(iter(known))))
            raise self._other_space(f"{name} from {describe(distribution)}, which was {before}")

    def check_complete(self, params: Mapping[str, Value]) -> None:
        """Refuse a search space in which a parameter that every trial had is gone."""
        if self._agreed is None:
            return
        finished = [trial for trial in self.trials() if trial.state.is_finished() and trial.params]
        always = set(self._agreed).intersection(*(trial.params for trial in finished)) if finished else set()
        gone = sorted(always - params.keys())
        if gone:
            raise self._other_space(f"no parameter {gone[0]}")

    def _other_space(self, got: str) -> StudyError:
        name, file = self.declaration.name, self.declaration.file
        return StudyError(
            f"the trials of study {name} share one search space",
            got,
            f"start it under a new name, from the old best: sweep start {file} --name {name}-2 --from {name}:best:5",
        )

    def revive(self, number: int) -> None:
        """Queue a new trial with the parameters of one that was pruned, which goes on from its checkpoint."""
        self.study.enqueue_trial(self.trials()[number].params, user_attrs={REVIVES: number})

    def revived(self, number: int) -> bool:
        """Whether a trial was queued that goes on with this one."""
        return any(trial.user_attrs.get(REVIVES) == number for trial in self.trials())

    def revives(self, trial: optuna.Trial) -> int | None:
        """The trial that this one goes on with, if there is one."""
        number: int | None = self.frozen(trial).user_attrs.get(REVIVES)
        return number

    def hopeless(self, trial: FrozenTrial) -> int | None:
        """A trial before this one with the same parameters that failed for them, if there is one."""
        return next(
            (number for number in self.storage.disguised() if self.trials()[number].params == trial.params), None
        )

    def name(self, trial: FrozenTrial, family: str, architecture: str | None) -> str:
        """The run name of a trial."""
        name = encode(trial.params, number=trial.number, family=family, keys=self.keys, architecture=architecture)
        self.keys.settle()
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
        """Have the rung noted that a trial reached with a value when it was trained, without judging it again."""
        alone = copy.copy(self.frozen(trial))
        alone.intermediate_values = {}
        self.pruning.verdict(alone, step, value)

    def tell(
        self, trial: optuna.Trial, state: TrialState, values: Sequence[float] | None, *, hopeless: bool = False
    ) -> FrozenTrial:
        """End a trial; others are held against it from now on.

        Args:
            hopeless: it failed for its parameters. Optuna's samplers pass over failed trials, and rank a pruned one
                that has reported little below all others: for them it is one, and FAIL in the tables and for us.
        """
        if hopeless:
            self.storage.disguise(trial._trial_id, state)
            ended = copy.copy(self.tell(trial, TrialState.PRUNED, None))
            ended.state = state
            return ended
        try:
            with self._sampling:
                frozen = self.study.tell(
                    trial, list(values) if state == TrialState.COMPLETE and values else None, state
                )
        except RuntimeError:
            # Grid and brute force stop the study at their last trial, which is stored by then.
            self._stopped = True
            frozen = self.frozen(trial)
            if not frozen.state.is_finished():
                raise
        self.pruning.ended(frozen)
        return frozen
