"""Keras Tuner's `HyperParameters` over an Optuna trial.

What its methods mean is read from Keras Tuner's documentation, https://keras.io/keras_tuner/api/hyperparameters/
(version 1.4); their names and arguments are Keras Tuner's.

Keras Tuner tells parameters apart by their names and conditions, Optuna by their names alone. `scoped_name` therefore
names a conditional parameter after its conditions too, where one name means different things.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial, FixedTrial

from sweep.declaration import Value
from sweep.errors import StudyError
from sweep.names import format_value

Number = TypeVar("Number", int, float)
Values = Value | list[Value] | tuple[Value, ...]


@dataclass(frozen=True)
class Condition:
    """That the parameter `name` has one of `values`: what `conditional_scope` asks for."""

    name: str
    values: tuple[Any, ...]

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether the active values fulfil the condition; an inactive parent fulfils none."""
        return self.name in values and values[self.name] in self.values

    def get_config(self) -> dict[str, Any]:
        """The condition as Keras Tuner writes it."""
        return {"class_name": "Parent", "config": {"name": self.name, "values": list(self.values)}}


Conditions = tuple[Condition, ...]


@dataclass(frozen=True)
class HyperParameter:
    """One parameter of a search space.

    Attributes:
        kind: the method that declared it: `Int`, `Float`, `Choice`, `Boolean` or `Fixed`.
        name: the full name, with its name scopes.
        default: the value where nothing samples it: `default`, or else the first one, as in Keras Tuner.
        conditions: all of them must hold for it to be active.
        settings: the other arguments of the method by name; each is an attribute too, such as `min_value`.
        distribution: of its values where it is active; None for `Fixed`.
    """

    kind: str
    name: str
    default: Any
    conditions: Conditions
    settings: Mapping[str, Any] = field(default_factory=dict)
    distribution: BaseDistribution | None = None

    def __getattr__(self, name: str) -> Any:
        settings = vars(self).get("settings", {})
        if name not in settings:
            raise AttributeError(f"{name} is no attribute of a {self.kind} hyperparameter")
        return settings[name]

    def get_config(self) -> dict[str, Any]:
        """The parameter as Keras Tuner writes it."""
        conditions = [condition.get_config() for condition in self.conditions]
        return {"name": self.name, "default": self.default, "conditions": conditions, **self.settings}


def scoped_name(name: str, conditions: Conditions) -> str:
    """The name of a conditional parameter with its conditions: `units[model=cnn]`, `units[model=cnn,rnn][depth=2]`.

    It depends on nothing but the declaration. Values are written as in run names, so that the text `1` is not the
    number.
    """
    scopes = (f"[{one.name}={','.join(format_value(value) for value in one.values)}]" for one in conditions)
    return f"{name}{''.join(scopes)}"


class HyperParameters:
    """Keras Tuner's search space over an Optuna trial: each method returns the trial's value of a parameter.

    Every method but `Fixed` takes a `default` as Keras Tuner's does. A trial makes no use of it: the sampler proposes
    from the first trial on (`Study(enqueue=...)` begins with values of one's own). `parent_name` and `parent_values`
    make one parameter conditional as `conditional_scope` does; an inactive one is None, and no parameter of the trial.
    A name that is there already has its first value again.

    Args:
        trial: what suggests the values; None for the values given so far and defaults, as in a copy.
        name: what a parameter with conditions is called in the trial, from its full name and conditions. By default
            that is `scoped_name`, except that a `FixedTrial` may hold the full name alone.

    Attributes:
        values: the active parameters and their values by full name, in the order they came.
        space: every parameter declared so far, active or not.
        conditions: every condition that a scope has asked for so far.
    """

    def __init__(self, trial: BaseTrial | None = None, *, name: Callable[[str, Conditions], str] = scoped_name) -> None:
        self.values: dict[str, Any] = {}
        self.space: list[HyperParameter] = []
        self._trial = trial
        self._parameter_name = name
        self._given: dict[str, Any] = {}
        self._scopes: list[str] = []
        self._conditions: list[Condition] = []
        self.conditions: list[Condition] = []

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Values = None,
    ) -> Any:
        """An integer from `min_value` to `max_value`, both included, `step` apart; `step` times with `sampling="log"`.

        Raises:
            StudyError: `sampling` is neither `linear` nor `log`, or `step` leads nowhere.
        """
        return self._number("Int", name, min_value, max_value, step, sampling, default, parent_name, parent_values)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Values = None,
    ) -> Any:
        """A float from `min_value` to `max_value`, `step` apart if there is one; `step` times with `sampling="log"`.

        Raises:
            StudyError: `sampling` is neither `linear` nor `log`, or `step` leads nowhere.
        """
        low, high = float(min_value), float(max_value)
        return self._number("Float", name, low, high, step, sampling, default, parent_name, parent_values)

    def Choice(
        self,
        name: str,
        values: Sequence[Value],
        ordered: bool | None = None,
        default: Value = None,
        parent_name: str | None = None,
        parent_values: Values = None,
    ) -> Any:
        """One of `values`. `ordered` is taken and not used: no sampler of Optuna orders categories."""
        first = default if default is not None or None in values else values[0]
        settings = {"values": list(values), "ordered": ordered}
        return self._parameter(
            "Choice", name, first, settings, lambda: CategoricalDistribution(values), parent_name, parent_values
        )

    def Boolean(
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Values = None
    ) -> Any:
        """False or True."""
        return self._parameter(
            "Boolean", name, default, {}, lambda: CategoricalDistribution([False, True]), parent_name, parent_values
        )

    def Fixed(self, name: str, value: Any, parent_name: str | None = None, parent_values: Values = None) -> Any:
        """`value`, which is in `values` and no parameter of the trial."""
        return self._parameter("Fixed", name, value, {"value": value}, None, parent_name, parent_values)

    def get(self, name: str) -> Any:
        """The value of an active parameter.

        Raises:
            KeyError: no parameter of that name was declared within the present name scope.
            ValueError: it is inactive.
        """
        full_name = self._full(name)
        if full_name in self.values:
            return self.values[full_name]
        active = f"active are: {', '.join(self.values) or 'none'}"
        if any(parameter.name == full_name for parameter in self.space):
            raise ValueError(f"{full_name} is inactive; {active}")
        raise KeyError(f"{full_name} is no active hyperparameter; {active}")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.values

    def is_active(self, hyperparameter: str | HyperParameter) -> bool:
        """Whether all conditions of a parameter hold: of one in `space`, or of any that has this full name."""
        if isinstance(hyperparameter, HyperParameter):
            return self._hold(hyperparameter.conditions)
        return any(self._hold(one.conditions) for one in self.space if one.name == hyperparameter)

    def copy(self) -> "HyperParameters":
        """The same values without the trial: what is declared in the copy is not sampled, but has its default.

        `HyperModel(tunable=False)` builds with a copy.
        """
        copied = HyperParameters.of(copy.deepcopy(self.values))
        copied.values, copied.space = dict(copied._given), list(self.space)
        return copied

    def get_config(self) -> dict[str, Any]:
        """The space and the values as Keras Tuner writes them."""
        space = [{"class_name": one.kind, "config": one.get_config()} for one in self.space]
        return {"space": space, "values": dict(self.values)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Hyperparameters without a trial: a parameter has the value given for its full name, or its default."""
        made = cls()
        made._given = dict(values)
        return made

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """What `get_config` gave, as a copy has it.

        Raises:
            StudyError: as the method that declares each parameter.
        """
        made = cls.of(config["values"])
        for one in config["space"]:
            settings = dict(one["config"])
            conditions = [condition["config"] for condition in settings.pop("conditions")]
            if one["class_name"] == "Fixed":
                settings.pop("default", None)
            made._conditions = [Condition(parent["name"], tuple(parent["values"])) for parent in conditions]
            getattr(made, one["class_name"])(**settings)
        made._conditions = []
        return made

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Puts `name/` before each name that is used in it."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Values) -> Iterator[None]:
        """Parameters in it are active where the parent has one of the values (a list, or one value), else None.

        Raises:
            StudyError: there is no parent of that name yet. A parent may be inactive itself.
        """
        parent = self._full(parent_name)
        if all(parameter.name != parent for parameter in self.space):
            known = ", ".join(sorted({parameter.name for parameter in self.space})) or "none"
            raise StudyError(
                f"There is no hyperparameter {parent} yet for another to depend on.",
                f"Define the parent first. So far there are: {known}.",
            )
        wanted = parent_values if isinstance(parent_values, (list, tuple)) else [parent_values]
        condition = Condition(parent, tuple(wanted))
        self.conditions.append(condition)
        self._conditions.append(condition)
        try:
            yield
        finally:
            self._conditions.pop()

    def _number(
        self,
        kind: str,
        name: str,
        low: Number,
        high: Number,
        step: Number | None,
        sampling: str | None,
        default: Number | None,
        parent_name: str | None,
        parent_values: Values,
    ) -> Any:
        full_name = self._full(name)
        settings = {"min_value": low, "max_value": high, "step": step, "sampling": sampling}
        return self._parameter(
            kind,
            name,
            low if default is None else default,
            settings,
            lambda: _numbers(kind, full_name, low, high, step, _is_log(full_name, sampling)),
            parent_name,
            parent_values,
        )

    def _parameter(
        self,
        kind: str,
        name: str,
        default: Any,
        settings: Mapping[str, Any],
        distribution: Callable[[], BaseDistribution] | None,
        parent_name: str | None,
        parent_values: Values,
    ) -> Any:
        if parent_name is not None:
            with self.conditional_scope(parent_name, parent_values):
                return self._parameter(kind, name, default, settings, distribution, None, None)
        full_name, conditions = self._full(name), tuple(self._conditions)
        if any(condition.name == full_name for condition in conditions):
            raise StudyError(
                f"Hyperparameter {full_name} depends on a parent of the same name.",
                hint="Give the child another name.",
            )
        active = self._hold(conditions)
        values = distribution() if distribution is not None and active and full_name not in self.values else None
        parameter = HyperParameter(kind, full_name, default, conditions, settings, values)
        if all((one.name, one.conditions) != (full_name, conditions) for one in self.space):
            self.space.append(parameter)
        if active and full_name not in self.values:
            self.values[full_name] = self._value(parameter)
        return self.values[full_name] if active else None

    def _value(self, parameter: HyperParameter) -> Any:
        if parameter.distribution is None or self._trial is None:
            return self._given.get(parameter.name, parameter.default)
        if not parameter.conditions:
            return _suggest(self._trial, parameter.name, parameter.distribution)
        name = self._parameter_name(parameter.name, parameter.conditions)
        if name != parameter.name and _lacks(self._trial, name):
            name = parameter.name
        return _suggest(self._trial, name, parameter.distribution)

    def _hold(self, conditions: Conditions) -> bool:
        return all(condition.is_active(self.values) for condition in conditions)

    def _full(self, name: str) -> str:
        return "/".join([*self._scopes, name])


def _lacks(trial: BaseTrial, name: str) -> bool:
    """Whether a trial holds given values, and none of this name."""
    return isinstance(trial, FixedTrial) and name not in trial._params


def _suggest(trial: BaseTrial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    suggest = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    limits: Any = distribution
    return suggest(name, limits.low, limits.high, step=limits.step, log=limits.log)


def _numbers(kind: str, name: str, low: Number, high: Number, step: Number | None, is_log: bool) -> BaseDistribution:
    if step is not None and is_log:
        return CategoricalDistribution(_powers(name, low, high, step))
    if step is not None:
        high = _last(name, low, high, step)
    if kind == "Int":
        return IntDistribution(int(low), int(high), log=is_log, step=1 if step is None else int(step))
    return FloatDistribution(low, high, log=is_log, step=step)


def _is_log(name: str, sampling: str | None) -> bool:
    if sampling not in (None, "linear", "log"):
        hint = 'Sample its distance from max_value with "log".' if sampling == "reverse_log" else None
        raise StudyError(f'The sampling of hyperparameter {name} must be "linear" or "log", not {sampling!r}.', hint)
    return sampling == "log"


def _last(name: str, low: Number, high: Number, step: Number) -> Number:
    """The greatest value that is whole steps above `low`; Optuna takes it too, and warns where it is not `high`."""
    if not step > 0:
        raise StudyError(f"The step of hyperparameter {name} must be greater than 0, not {step!r}.")
    first, distance = Decimal(str(low)), Decimal(str(step))
    return type(low)(first + (Decimal(str(high)) - first) // distance * distance)


def _powers(name: str, low: Number, high: Number, step: Number) -> list[Number]:
    """`low`, `low * step`, `low * step**2` and so on up to `high`, each as its decimal reads."""
    if not (low > 0 and step > 1):
        raise StudyError(
            f"With log sampling, hyperparameter {name} needs a min_value above 0 and a step above 1, which "
            f"multiplies. Got min_value={low!r}, step={step!r}."
        )
    values, value = [], Decimal(str(low))
    while value <= Decimal(str(high)):
        values.append(type(low)(value))
        value *= Decimal(str(step))
    return values
