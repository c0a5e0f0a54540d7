"""Samplers and pruners are built from text, and one line says what is wrong with a text."""

import importlib.util
import inspect
import subprocess
import sys

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.pruners import RULES
from sweep.core.pruners.patient import Patient
from sweep.core.pruners.percentile import Median, Percentile
from sweep.errors import SweepError
from sweep.specs import PRUNERS, SAMPLERS, make_pruner, make_sampler, parse, pruner_rule, prunes

REQUIRED = {"percentile": "percentile(25)", "threshold": "threshold(upper=1)", "patient": "patient(median, 3)"}
NEEDS = {"cmaes": ["cmaes"], "gp": ["torch", "scipy"], "qmc": ["scipy"]}


def lacks(sampler: str) -> bool:
    return any(importlib.util.find_spec(package) is None for package in NEEDS.get(sampler, []))


def refusal(kind: str, text: str) -> str:
    with pytest.raises(SweepError) as caught:
        make_sampler(text, 1) if kind == "sampler" else make_pruner(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_is_built_by_its_name(name: str) -> None:
    assert isinstance(make_pruner(REQUIRED.get(name, name)), optuna.pruners.BasePruner)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_built_by_its_name_or_says_what_to_install(name: str) -> None:
    text = "grid(lr=[0.1, 0.01])" if name == "grid" else name
    if lacks(name):
        assert "pip install" in refusal("sampler", text)
    else:
        assert isinstance(make_sampler(text, 7), optuna.samplers.BaseSampler)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MedianPruner", optuna.pruners.MedianPruner),
        ("SuccessiveHalvingPruner", optuna.pruners.SuccessiveHalvingPruner),
        ("successive_halving", optuna.pruners.SuccessiveHalvingPruner),
        ("asha", optuna.pruners.NopPruner),  # which Optuna has not: `sweep.core.pruners.asha` decides
        (" Hyperband() ", optuna.pruners.HyperbandPruner),
        ("NopPruner()", optuna.pruners.NopPruner),
    ],
)
def test_other_spellings_of_a_pruner_are_understood(text: str, expected: type) -> None:
    assert type(make_pruner(text)) is expected


def test_settings_reach_optuna() -> None:
    study = optuna.create_study(sampler=make_sampler("grid(lr=[0.1, 0.01], bs=[16, 32])", 1))
    found = set()
    for _ in range(4):
        trial = study.ask()
        pair = (trial.suggest_categorical("lr", [0.1, 0.01]), trial.suggest_categorical("bs", [16, 32]))
        found.add(pair)
    assert found == {(0.1, 16), (0.1, 32), (0.01, 16), (0.01, 32)}


def test_a_spec_holds_every_setting_with_its_default_and_specs_within() -> None:
    rule = pruner_rule("patient(median(n_startup_trials=2), patience=3)")
    assert rule == Patient(Median(n_startup_trials=2, n_warmup_steps=0, interval_steps=1, n_min_trials=1), 3, 0.0)
    assert dict(parse("sampler", "bruteforce").settings) == {"avoid_premature_stop": False}  # type: ignore[union-attr]


def test_settings_may_be_given_by_position() -> None:
    assert pruner_rule("percentile(25, 7)") == Percentile(25, n_startup_trials=7)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.optuna is not None])
def test_a_rule_has_the_settings_of_optunas_pruner_and_its_defaults(name: str) -> None:
    ours, theirs = inspect.signature(RULES[name]), inspect.signature(getattr(optuna.pruners, RULES[name].optuna))
    for one, other in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
        default = (
            "auto" if (name, one.name) == ("halving", "min_resource") else one.default
        )  # rungs of ours, or Optuna's
        assert (one.name, one.kind, default) == (other.name, other.kind, other.default)


@pytest.mark.parametrize(
    "text",
    [
        "median(0, 0, 1, n_min_trials=1)",
        "percentile(0)",
        "percentile(100)",
        "halving(1, 2, 0, 0)",
        "hyperband(1, 1, 2, 0)",
        "threshold(1, 1, 0, 1)",
        "patient(None, 0, 0)",
    ],
)
def test_optuna_accepts_the_smallest_and_the_largest_settings(text: str) -> None:
    make_pruner(text)


def test_grid_takes_parameters_called_seed_and_names_that_python_cannot_spell() -> None:
    assert parse("sampler", "grid({'my lr': [1.0]}, seed=[1, 2])").settings == {"my lr": [1.0], "seed": [1, 2]}
    make_sampler("grid({'my lr': [1.0]}, seed=[1, 2])", None)


def test_the_seed_makes_a_sampler_reproducible() -> None:
    def draw() -> float:
        study = optuna.create_study(sampler=make_sampler("tpe(n_startup_trials=1)", 3))
        return study.ask().suggest_float("x", 0, 1)

    assert draw() == draw()


REFUSED = [
    ("pruner", "medan", ["No such pruner: medan.", "Did you mean median?", "hyperband"]),
    ("pruner", "patient(foo, 3)", ["No such pruner: foo."]),
    ("pruner", "median(n_startup=5)", ["n_startup", "Did you mean n_startup_trials?", "n_warmup_steps=0"]),
    ("pruner", "median(n_startup_trials='x')", ["n_startup_trials of median must be of type int", "'x'"]),
    ("pruner", "median(n_startup_trials=5.0)", ["type int", "5.0"]),
    ("pruner", "median(True)", ["type int", "True"]),
    ("pruner", "median(-1)", ["at least 0", "-1"]),
    ("pruner", "median(n_warmup_steps=-1)", ["n_warmup_steps of median must be at least 0", "-1"]),
    ("pruner", "median(interval_steps=0)", ["interval_steps of median must be at least 1"]),
    ("pruner", "median(n_min_trials=0)", ["n_min_trials of median must be at least 1"]),
    ("pruner", "median(5, percentile=25)", ["median has no setting percentile"]),
    ("pruner", "median(5, 0, 1, 2)", ["too many positional arguments"]),
    ("pruner", "median(5, n_startup_trials=5)", ["multiple values"]),
    ("pruner", "median(n_warmup_steps=1, n_warmup_steps=2)", ["given n_warmup_steps twice"]),
    ("pruner", "percentile", ["percentile needs the setting percentile", "n_startup_trials=5"]),
    ("pruner", "percentile(250)", ["between 0 and 100", "250"]),
    ("pruner", "patient(patience=3)", ["needs the setting wrapped_pruner"]),
    ("pruner", "patient('median', 3)", ["type pruner", "'median'"]),
    ("pruner", "percentile(-0.5)", ["between 0 and 100", "-0.5"]),
    ("pruner", "patient(None, -1)", ["patience of patient must be at least 0"]),
    ("pruner", "patient(None, 1, -0.5)", ["min_delta of patient must be at least 0", "-0.5"]),
    ("pruner", "halving(min_resource='x')", ["a whole number or 'auto' as min_resource", "'x'"]),
    ("pruner", "halving(min_resource=0)", ["min_resource of halving must be at least 1"]),
    ("pruner", "halving(1, 4, -1)", ["min_early_stopping_rate of halving must be at least 0"]),
    ("pruner", "halving(bootstrap_count=-1)", ["bootstrap_count of halving must be at least 0"]),
    ("pruner", "halving(bootstrap_count=1)", ["halving needs a number as min_resource"]),
    ("pruner", "hyperband(max_resource='x')", ["a whole number or 'auto' as max_resource", "'x'"]),
    ("pruner", "hyperband(reduction_factor=1)", ["at least 2"]),
    ("pruner", "hyperband(bootstrap_count=2)", ["hyperband needs a number as max_resource"]),
    ("pruner", "threshold", ["lower or upper"]),
    ("pruner", "threshold(lower=2, upper=1)", ["lower bound that is no higher than the upper one", "2 and 1"]),
    ("pruner", "threshold(upper=open('/etc/passwd'))", ["upper must be a number"]),
    ("pruner", "nop(x=1)", ["nop has no setting x", "It has no settings"]),
    ("sampler", "tpe(seed=3)", ["tpe cannot have a seed of its own", "--seed"]),
    ("sampler", "bruteforce(3)", ["positional"]),
    ("sampler", "tpe(gamma=1)", ["tpe has no setting gamma", "n_ei_candidates=24"]),
    ("sampler", "tpe(n_ei_candidates=0)", ["at least 1"]),
    ("sampler", "nsgaii(population_size=1)", ["Optuna refuses", "population_size"]),
    ("sampler", "median", ["No such sampler: median.", "tpe"]),
    ("sampler", "grid", ["grid needs values"]),
    ("sampler", "grid(lr=0.1)", ["lr of grid must be a list", "0.1"]),
    ("sampler", "grid(lr=[])", ["lr of grid must be a list"]),
    ("sampler", "grid(lr=[[1]])", ["lr of grid must be a list"]),
    ("sampler", "grid([1])", ["grid takes its parameters by name"]),
    ("sampler", "grid(lr=[adam])", ["lr must be a number, text", "adam"]),
]


@pytest.mark.parametrize(("kind", "text", "parts"), REFUSED, ids=[text for _, text, _ in REFUSED])
def test_a_wrong_spec_is_refused_with_what_is_wrong(kind: str, text: str, parts: list[str]) -> None:
    message = refusal(kind, text)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("text", ["", "(", "median(", "3", "median()()", "a.b", "median(*[1])", "median(**{})", "a b"])
def test_text_that_is_no_spec_is_answered_with_an_example(text: str) -> None:
    assert "For example: median(n_startup_trials=5)" in refusal("pruner", text)


def test_a_word_without_quotes_is_answered_with_the_quoted_word() -> None:
    if not lacks("qmc"):
        assert "For text, write 'halton'." in refusal("sampler", "qmc(qmc_type=halton)")


def test_a_seed_outside_numpys_range_is_refused() -> None:
    with pytest.raises(SweepError, match="4294967295, not -1"):
        make_sampler("tpe", -1)


@given(st.text(max_size=40) | st.from_regex(r"(median|grid|patient)\([a-z_=,0-9()\[\]{}* ]{0,30}\)", fullmatch=True))
def test_any_text_is_built_or_refused_and_nothing_else(text: str) -> None:
    for kind in ("sampler", "pruner"):
        said = ""
        try:
            parse(kind, text)  # type: ignore[arg-type]
        except SweepError as error:
            said = str(error)
        assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nop", False),
        (" NopPruner() ", False),
        ("patient(nop, 3)", False),
        ("patient(patience=3, wrapped_pruner=nop())", False),
        ("patient(None, 3)", True),
        ("patient(patient(median, 2), 3)", True),
        ("median", True),
        ("hyperband(max_resource=9)", True),
        ("threshold(upper=1)", True),
    ],
)
def test_only_nop_cannot_stop_a_run(text: str, expected: bool) -> None:
    assert prunes(text) is expected


def test_reading_whether_a_pruner_prunes_does_not_import_optuna() -> None:
    code = "import sys, sweep.specs as s; s.prunes('median(3)'); sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
