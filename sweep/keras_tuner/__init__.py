"""A study from a Keras Tuner `build(hp)` function or `HyperModel`, with no Keras Tuner installed.

`hp` is a `HyperParameters` of our own, so that its parameters are sampled, named and stored as those of any study are.
Importing this package imports no Keras.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from numbers import Real
from typing import TYPE_CHECKING, Any

from sweep.errors import StudyError
from sweep.keras_tuner.exploration import Unexplored, explore
from sweep.keras_tuner.hyperparameters import Conditions, HyperParameters
from sweep.study import Study

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["HyperParameters", "from_keras_tuner"]


def from_keras_tuner(
    build: Any,
    x: Any,
    y: Any = None,
    *,
    objective: str,
    direction: str,
    validation_data: Any = None,
    batch_size: int | None = None,
    **settings: Any,
) -> Study:
    """A study that trains what a Keras Tuner model-building function builds.

        def build(hp):
            model = keras.Sequential([keras.layers.Dense(hp.Int("units", 8, 64, step=8)), keras.layers.Dense(1)])
            model.compile(hp.Choice("optimizer", ["adam", "sgd"]), loss="mae")
            return model

        study = sweep.from_keras_tuner(
            build, x, y, validation_data=(x_val, y_val), objective="val_loss", direction="minimize", epochs=30
        )

    Args:
        build: a function of `HyperParameters` that returns a compiled Keras model, or an object with such a method
            `build`, as a `HyperModel` is. Where that object also has `fit(hp, model, *args, **kwargs)`, this is called
            to train; `model.fit` in it is `sweep.fit`, and what it returns is the trial's value if it is a number or a
            dict with the objective in it.
        x: what to train on, as `sweep.fit` takes it.
        y: the targets, where `x` does not hold them.
        objective: the metric that decides, such as `val_loss`.
        direction: `minimize` or `maximize`; Keras Tuner infers it from the metric, here it is stated.
        validation_data: what to validate with, as `sweep.fit` takes it.
        batch_size: rows in a batch; by default `sweep.fit`'s.
        settings: the other arguments of `Study`, such as `trials`, `epochs`, `sampler`, `pruner`, `seed`.

    Raises:
        StudyError: an argument is not as it must be.
    """
    build_model = getattr(build, "build", build)
    if not callable(build_model):
        raise StudyError(f"Expected a function build(hp), or an object with a method build(hp), not {build!r}.")
    given = {"validation_data": validation_data, "batch_size": batch_size}
    fit_settings = {name: value for name, value in given.items() if value is not None}

    def train(trial: "BaseTrial") -> Any:
        return _train(trial, build, build_model, names, (x, y), fit_settings, objective)

    names: list[Callable[..., str]] = []  # found by this process, once they are needed
    train.__module__ = getattr(build, "__module__", "__main__")  # its file is the study's
    return Study(train, objective=objective, direction=direction, **settings)


def _train(
    trial: "BaseTrial",
    build: Any,
    build_model: Callable[..., Any],
    names: list[Callable[..., str]],
    data: tuple[Any, Any],
    fit_settings: Mapping[str, Any],
    objective: str,
) -> Any:
    """A trial's value. It begins again, before anything has trained, where names have to be found first."""
    from sweep.train.fit import fit
    from sweep.train.session import begin

    def attempt() -> Any:
        hp = HyperParameters(trial, name=names[0] if names else _unexplored)
        model = build_model(hp)
        if not hasattr(build, "fit"):
            return fit(trial, model, *data, **fit_settings)
        with _fit_through(model, lambda *args, **kwargs: fit(trial, model, *args, **kwargs)) as values:
            result = build.fit(hp, model, *data, callbacks=[], **fit_settings)
        return _value(result, values, objective)

    def declare(hp: HyperParameters) -> None:
        build_model(hp)
        if hasattr(build, "fit"):
            with suppress(_Used):
                build.fit(hp, _Untrained(), *data, callbacks=[], **fit_settings)

    try:
        return attempt()
    except Unexplored:
        names.append(explore(declare))
    begin(trial.seed)  # type: ignore[attr-defined]  # the exploration has drawn random numbers and named layers
    return attempt()


def _unexplored(name: str, _conditions: Conditions) -> str:
    raise Unexplored(name)


class _Used(BaseException):
    """A HyperModel's `fit` wants to use the model, and so has declared what it tunes."""


class _Untrained:
    """In the place of a model while a HyperModel's `fit` is explored: it trains nothing."""

    def fit(self, *_args: Any, **_kwargs: Any) -> Any:
        raise _Used

    def __getattr__(self, name: str) -> Any:
        raise _Used


@contextmanager
def _fit_through(model: Any, fit: Callable[..., float]) -> Iterator[list[float]]:
    """Within it `model.fit` is `fit`, whose values are kept in the list, and returns the History as Keras' own does.

    It stands on the instance and is gone while `fit` runs, which may call Keras' own.
    """
    values: list[float] = []

    def routed(*args: Any, **kwargs: Any) -> Any:
        del vars(model)["fit"]
        try:
            values.append(fit(*args, **kwargs))
        finally:
            vars(model)["fit"] = routed
        return model.history

    vars(model)["fit"] = routed
    try:
        yield values
    finally:
        del vars(model)["fit"]


def _value(result: Any, values: list[float], objective: str) -> float:
    """A trial's value: what a HyperModel's `fit` returned, or else what `sweep.fit` did in it."""
    if isinstance(result, Mapping) and objective in result:
        result = result[objective]
    if isinstance(result, Real):
        return float(result)
    if not values:
        raise StudyError(
            f"A HyperModel's fit must call model.fit, or return a number or a dict with {objective}, not {result!r}."
        )
    return values[-1]
