"""Hypothesis strategies for search spaces and for the parameters that trials draw from them."""

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.errors import StudyError
from sweep.names import Value, check_choices

Space = Mapping[str, BaseDistribution]
Params = dict[str, Value]

floats: SearchStrategy[float] = st.floats(allow_nan=False, allow_infinity=False)

strings: SearchStrategy[str] = st.one_of(
    st.text(),
    st.text(alphabet="-=~t01.eE_ aé"),
    st.sampled_from(
        [
            "",
            "none",
            "nan",
            "true",
            "1e5",
            "007",
            "-0",
            "+.5",
            "a-lr=3",
            "x-t0017",
            "-~01234567",
            "~",
            "--",
            ".",
            "\ud800",
        ]
    ),
)

values: SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from([-0.0, 1e-320, 1e300, 2**70]), strings
)

parameter_names: SearchStrategy[str] = st.one_of(
    st.sampled_from(
        [
            "family",
            "learning_rate",
            "batch_size",
            "lr",
            "LR",
            "bs",
            "dropout",
            "dropout_rate",
            "dropout_1",
            "n_units_l0",
        ]
    ),
    st.text(alphabet="abAB_01", min_size=1),
    st.text(),
)


def _told_apart(choices: list[Value]) -> bool:
    try:
        check_choices("p", choices)
    except StudyError:
        return False
    return True


categoricals = st.lists(values, min_size=1, max_size=5).filter(_told_apart).map(CategoricalDistribution)


@st.composite
def continuous(draw: DrawFn) -> FloatDistribution:
    """A float domain without a step, over the whole range of floats, of some width."""
    log = draw(st.booleans())
    ends = st.floats(min_value=5e-324, allow_infinity=False) if log else floats
    low, high = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique_by=lambda end: end + 0.0)))
    return FloatDistribution(low, high, log=log)


@st.composite
def integers(draw: DrawFn) -> IntDistribution:
    low, high = sorted(draw(st.tuples(*[st.integers(-(2**63), 2**63)] * 2)))
    return IntDistribution(low, high)


distributions: SearchStrategy[BaseDistribution] = st.one_of(categoricals, continuous(), integers())

search_spaces: SearchStrategy[Space] = st.dictionaries(parameter_names, distributions, max_size=6)


def values_of(distribution: BaseDistribution) -> SearchStrategy[Value]:
    """The values a trial can draw from a domain."""
    if isinstance(distribution, CategoricalDistribution):
        return st.sampled_from(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return st.integers(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return st.floats(distribution.low, distribution.high)


@st.composite
def params_of(draw: DrawFn, space: Space) -> Params:
    """What one trial draws; every parameter is conditional, and suggested in any order."""
    names = draw(st.lists(st.sampled_from(sorted(space)), unique=True)) if space else []
    return {name: draw(values_of(space[name])) for name in names}


@st.composite
def trials(draw: DrawFn, most: int = 4) -> list[Params]:
    """The parameters of the trials of one study, in the order of their numbers."""
    space = draw(search_spaces)
    return draw(st.lists(params_of(space), min_size=1, max_size=most))


def typed(params: Mapping[str, Value]) -> dict[str, tuple[type, str]]:
    """Parameters to compare with their types, -0.0 and NaN told apart as well."""
    return {name: (type(value), repr(value)) for name, value in params.items()}
