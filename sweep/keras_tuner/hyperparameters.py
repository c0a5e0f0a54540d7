"""Keras Tuner's `HyperParameters` over an Optuna trial.

What its methods mean is read from Keras Tuner's documentation, https://keras.io/keras_tuner/api/hyperparameters/
(version 1.4); their names and arguments are Keras Tuner's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from sweep.declaration import Value
from sweep.errors import StudyError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Number = TypeVar("Number", int, float)
Values = Value | list[Value] | tuple[Value, ...]


class HyperParameters:
    """Keras Tuner's search space over an Optuna trial: each method returns the trial's value of a parameter.

    Every method but `Fixed` takes a `default` as Keras Tuner's does and makes no use of it: the sampler proposes from
    the first trial on (`Study(enqueue=...)` begins with values of one's own). `parent_name` and `parent_values` make
    one parameter conditional as `conditional_scope` does; an inactive one is None, and no parameter of the trial.
    A name that is there already has its first value again.

    Attributes:
        values: the active parameters and their values, in the order they came.
    """

    def __init__(self, trial: "BaseTrial") -> None:
        self.values: dict[str, Any] = {}
        self._trial = trial
        self._scopes: list[str] = []
        self._inactive = 0
        self._seen: set[str] = set()

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

        suggest = self._trial.suggest_int
        return self._number(suggest, name, min_value, max_value, step, sampling, parent_name, parent_values)

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

        suggest, low, high = self._trial.suggest_float, float(min_value), float(max_value)
        return self._number(suggest, name, low, high, step, sampling, parent_name, parent_values)

    def Choice(
        self,
        name: str,
        values: list[Value] | tuple[Value, ...],
        ordered: bool | None = None,
        default: Value = None,
        parent_name: str | None = None,
        parent_values: Values = None,
    ) -> Any:
        """One of `values`. `ordered` is taken and not used: no sampler of Optuna orders categories."""
        return self._parameter(
            name, lambda full_name: self._trial.suggest_categorical(full_name, values), parent_name, parent_values
        )

    def Boolean(
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Values = None
    ) -> Any:
        """False or True."""
        return self.Choice(name, [False, True], parent_name=parent_name, parent_values=parent_values)

    def Fixed(self, name: str, value: Any, parent_name: str | None = None, parent_values: Values = None) -> Any:
        """`value`, which is in `values` and no parameter of the trial."""
        return self._parameter(name, lambda _: value, parent_name, parent_values)

    def get(self, name: str) -> Any:
        """The value of an active parameter.

        Raises:
            KeyError: there is none of that name within the present name scope.
        """
        full_name = self._full(name)
        if full_name not in self.values:
            raise KeyError(f"{full_name} is no active hyperparameter; active are: {', '.join(self.values) or 'none'}")
        return self.values[full_name]

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.values

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
        inactive = int(not self._is_active(parent_name, parent_values))
        self._inactive += inactive
        try:
            yield
        finally:
            self._inactive -= inactive

    def _number(
        self,
        suggest_number: Callable[..., Any],
        name: str,
        low: Number,
        high: Number,
        step: Number | None,
        sampling: str | None,
        parent_name: str | None,
        parent_values: Values,
    ) -> Any:
        def suggest(full_name: str) -> Any:
            is_log = _is_log(full_name, sampling)
            if step is None:
                return suggest_number(full_name, low, high, log=is_log)
            if is_log:
                return self._trial.suggest_categorical(full_name, _powers(full_name, low, high, step))
            return suggest_number(full_name, low, _last(full_name, low, high, step), step=step)

        return self._parameter(name, suggest, parent_name, parent_values)

    def _parameter(
        self, name: str, suggest: Callable[[str], Any], parent_name: str | None, parent_values: Values
    ) -> Any:
        if parent_name is not None:
            with self.conditional_scope(parent_name, parent_values):
                return self._parameter(name, suggest, None, None)
        full_name = self._full(name)
        self._seen.add(full_name)
        if self._inactive:
            return None
        if full_name not in self.values:
            self.values[full_name] = suggest(full_name)
        return self.values[full_name]

    def _is_active(self, parent_name: str, parent_values: Values) -> bool:
        parent = self._full(parent_name)
        if parent not in self._seen:
            known = ", ".join(sorted(self._seen)) or "none"
            raise StudyError("a parent hyperparameter comes before what depends on it", parent, f"there are: {known}")
        wanted = parent_values if isinstance(parent_values, (list, tuple)) else [parent_values]
        return parent in self.values and self.values[parent] in wanted

    def _full(self, name: str) -> str:
        return "/".join([*self._scopes, name])


def _is_log(name: str, sampling: str | None) -> bool:
    if sampling not in (None, "linear", "log"):
        remedy = 'sample its distance from max_value with "log"' if sampling == "reverse_log" else None
        raise StudyError(f"the sampling of hyperparameter {name} is linear or log", repr(sampling), remedy)
    return sampling == "log"


def _last(name: str, low: Number, high: Number, step: Number) -> Number:
    """The greatest value that is whole steps above `low`; Optuna takes it too, and warns where it is not `high`."""
    if not step > 0:
        raise StudyError(f"the step of hyperparameter {name} is above 0", repr(step))
    first, distance = Decimal(str(low)), Decimal(str(step))
    return type(low)(first + (Decimal(str(high)) - first) // distance * distance)


def _powers(name: str, low: Number, high: Number, step: Number) -> list[Number]:
    """`low`, `low * step`, `low * step**2` and so on up to `high`, each as its decimal reads."""
    if not (low > 0 and step > 1):
        raise StudyError(
            f"hyperparameter {name} with log sampling has a min_value above 0 and a step above 1, which multiplies",
            f"min_value={low!r}, step={step!r}",
        )
    values, value = [], Decimal(str(low))
    while value <= Decimal(str(high)):
        values.append(type(low)(value))
        value *= Decimal(str(step))
    return values
