"""Trials of other studies that teach a study's sampler: `--from STUDY:all`.

They stay outside of the study: they have no number in it, count for nothing, and no table of it has them. The sampler
is shown them before the study's own.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.control.domains import fit
from sweep.control.sampler import Wrapper
from sweep.control.storage import CONSTRAINT_PREFIX
from sweep.control.stored import read_stored
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.option_values import ALL
from sweep.specs import names_module
from sweep.store import DELETED, Store
from sweep.words import counted

LEARN = ("tpe", "gp")
"""Optuna's samplers that infer from any trial with a value; others know only what they have proposed themselves."""

FIRST = -2
"""The number of the latest earlier trial; others come before it. Samplers take the study's parameters from trials whose
numbers are at least -1: those of other studies may lack one."""


@dataclass(frozen=True)
class Taught:
    """Another study's trials that have ended with something to learn from, and its search space."""

    trials: Sequence[FrozenTrial]
    space: Mapping[str, Sequence[str]]


class Earlier:
    """The trials of other studies, and those of them that fit the search space.

    Args:
        studies: by name.

    Attributes:
        trials: those that fit, as a sampler is to see them.
    """

    def __init__(self, studies: Mapping[str, Taught] | None = None) -> None:
        self.trials: list[FrozenTrial] = []
        self._studies = dict(studies or {})
        self._counts: dict[str, int] = {}
        self._settled = False  # whether a trial of the study has had all its parameters

    def __bool__(self) -> bool:
        return bool(self._studies)

    @property
    def total(self) -> int:
        """How many trials the studies have, whether they fit or not."""
        return sum(len(study.trials) for study in self._studies.values())

    def fit(self, space: Mapping[str, Sequence[str]]) -> None:
        """Choose anew, for a search space: each parameter with its domains (Optuna's JSON).

        Before a trial has had all its parameters, those that are not known yet are taken to be as they were.
        """
        every = []
        for name, study in self._studies.items():
            known = space if self._settled else {**study.space, **space}
            fitting = [fitted for trial in study.trials if (fitted := fit(trial, known)) is not None]
            self._counts[name] = len(fitting)
            every += fitting
        for place, trial in enumerate(reversed(every)):
            trial.number = trial._trial_id = FIRST - place
        self.trials = every

    def settle(self, space: Mapping[str, Sequence[str]]) -> str | None:
        """A trial has had all its parameters; what a person should know then of the trials that fit, once."""
        if self._settled or not self._studies:
            return None
        self._settled = True
        self.fit(space)
        found = [
            f"{self._counts[name]} of {counted(len(study.trials), 'trial')} of {name}"
            for name, study in self._studies.items()
        ]
        rest = "" if self.trials else ": none has the parameters of this study, with values that these may have"
        return f"the sampler learns from {' and '.join(found)}{rest}"


def read_earlier(texts: Sequence[str], storage: str, declaration: Declaration) -> Earlier:
    """Read the trials that a sampler is to learn from.

    Args:
        texts: the studies, as `STUDY:all`.
        storage: the database.
        declaration: the study that is to learn.

    Raises:
        StoreError: there is no such database, or no such study in it.
        StudyError: the other study optimises something else, or the sampler learns from no trials of others.
    """
    names = [text.removesuffix(ALL) for text in texts]
    if not names:
        return Earlier()
    spec = declaration.sampler
    kind = spec.partition("(")[0].lower().replace("_", "").removesuffix("sampler").strip()
    if not (names_module("sampler", spec) or kind in LEARN):
        raise StudyError(
            f"The sampler {spec} learns nothing from trials of other studies, such as {names[0]}{ALL}.",
            f"Use --sampler {' or '.join(LEARN)}, or try the best of them first: --from {names[0]}:best:5",
        )
    store = Store(storage)
    try:
        return Earlier({name: _taught(store, name, declaration) for name in dict.fromkeys(names)})
    finally:
        store.close()


def _taught(store: Store, name: str, declaration: Declaration) -> Taught:
    if name == declaration.name:
        raise StudyError(f"Study {name} has its own trials, which its sampler knows.", f"Leave out --from {name}{ALL}.")
    record = store.study(name)
    for part in ("objective", "direction"):
        theirs, own = getattr(record.declaration, part), getattr(declaration, part)
        if theirs != own:
            raise StudyError(
                f"Study {name} has the {part} {', '.join(theirs)}, and {declaration.name} has {', '.join(own)}, so its "
                "trials cannot be compared with those of this study."
            )
    trials = [trial for trial in read_stored(store, record).trials() if _teaches(trial)]
    return Taught(list(map(_bare, trials)), record.space)


def _teaches(trial: FrozenTrial) -> bool:
    """Whether a trial has parameters, and something is known of how good they are."""
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended and bool(trial.params) and DELETED not in trial.system_attrs


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """A trial without what its own sampler and pruner have noted, which would confuse this one; constraints count."""
    found = copy.copy(trial)
    found.user_attrs = {}
    found.system_attrs = {key: each for key, each in trial.system_attrs.items() if key.startswith(CONSTRAINT_PREFIX)}
    return found


class InformedSampler(Wrapper):
    """A sampler that learns from trials of other studies too.

    Args:
        sampler: any Optuna sampler that learns from a study's trials.
        trials: gives those of other studies.
    """

    def __init__(self, sampler: BaseSampler, trials: Callable[[], Sequence[FrozenTrial]]) -> None:
        super().__init__(sampler)
        self._trials = trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.sampler.sample_relative(self._informed(study, search_space.keys()), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        informed = self._informed(study, {param_name})
        return self.sampler.sample_independent(informed, trial, param_name, param_distribution)

    def _informed(self, study: Study, names: Any) -> Any:
        """The study with the trials of others that have all these parameters."""
        return _InformedStudy(study, [trial for trial in self._trials() if names <= trial.params.keys()])


class _InformedStudy:
    """A study as a sampler sees it: with more trials, which come before its own."""

    def __init__(self, study: Study, earlier: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._earlier = earlier

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        return self._all(self._study._get_trials(deepcopy=deepcopy, states=states, use_cache=use_cache), states)

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """The trials in these states, those of other studies first."""
        return self._all(self._study.get_trials(deepcopy=deepcopy, states=states), states)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, those of other studies first."""
        return self.get_trials()

    def _all(self, own: list[FrozenTrial], states: Any) -> list[FrozenTrial]:
        return [*(trial for trial in self._earlier if states is None or trial.state in states), *own]
