"""Optuna's samplers and pruners as objects: the text that makes the same object, or why there is none."""

import optuna
import pytest
from optuna import pruners, samplers

import sweep
from sweep.errors import SweepError
from sweep.spec_objects import _built, _difference, spec_text

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of arguments that Optuna will not take for ever
]

EXACT = [
    (lambda: samplers.TPESampler(), "tpe"),
    (
        lambda: samplers.TPESampler(n_startup_trials=20, multivariate=False, prior_weight=2.0),
        "tpe(prior_weight=2.0, n_startup_trials=20, multivariate=False)",
    ),
    (
        lambda: samplers.CmaEsSampler(popsize=8, sigma0=0.2, x0={"lr": 0.1}),
        "cmaes(x0={'lr': 0.1}, sigma0=0.2, popsize=8)",
    ),
    (
        lambda: samplers.CmaEsSampler(independent_sampler=samplers.TPESampler(n_startup_trials=3)),
        "cmaes(independent_sampler=tpe(n_startup_trials=3))",
    ),
    (
        lambda: samplers.NSGAIISampler(population_size=10, crossover_prob=0.5),
        "nsgaii(population_size=10, crossover_prob=0.5)",
    ),
    (lambda: samplers.NSGAIIISampler(dividing_parameter=4), "nsgaiii(dividing_parameter=4)"),
    (lambda: samplers.GridSampler({"a": [1, 2], "b": ["x", None]}), "grid({'a': [1, 2], 'b': ['x', None]})"),
    (lambda: samplers.QMCSampler(qmc_type="halton", scramble=True), "qmc(qmc_type='halton', scramble=True)"),
    (lambda: samplers.GPSampler(deterministic_objective=True), "gp(deterministic_objective=True)"),
    (lambda: samplers.BruteForceSampler(), "bruteforce"),
    (lambda: samplers.RandomSampler(), "random"),
    (lambda: pruners.MedianPruner(), "median"),
    (lambda: pruners.MedianPruner(3, n_min_trials=2), "median(n_startup_trials=3, n_min_trials=2)"),
    (lambda: pruners.PercentilePruner(25.0), "percentile(percentile=25.0)"),
    (
        lambda: pruners.PatientPruner(pruners.MedianPruner(2), 3),
        "patient(wrapped_pruner=median(n_startup_trials=2), patience=3)",
    ),
    (lambda: pruners.PatientPruner(None, 3, 0.1), "patient(wrapped_pruner=None, patience=3, min_delta=0.1)"),
    (lambda: pruners.SuccessiveHalvingPruner(3), "halving(min_resource=3)"),
    (lambda: pruners.HyperbandPruner(1, 30), "hyperband(max_resource=30)"),
    (lambda: pruners.ThresholdPruner(upper=2.0), "threshold(upper=2.0)"),
    (lambda: pruners.ThresholdPruner(0, 3, 2), "threshold(lower=0.0, upper=3.0, n_warmup_steps=2)"),
    (lambda: pruners.NopPruner(), "nop"),
    (lambda: pruners.WilcoxonPruner(p_threshold=0.2), "optuna.pruners:WilcoxonPruner(p_threshold=0.2)"),
]


@pytest.mark.parametrize(("make", "text"), EXACT, ids=[text for _, text in EXACT])
def test_an_object_is_written_as_the_text_that_makes_the_same_one(make, text):
    given = make()
    kind = "sampler" if isinstance(given, samplers.BaseSampler) else "pruner"
    assert spec_text(kind, given) == text
    assert _difference(_built(kind, text), given) is None


class Own(samplers.RandomSampler):
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: samplers.TPESampler(gamma=lambda _: 3),
            "this TPESampler anew, since its gamma cannot be written",
        ),
        (lambda: samplers.NSGAIISampler(crossover=samplers.nsgaii.SBXCrossover()), "its crossover cannot be written"),
        (lambda: samplers.CmaEsSampler(source_trials=[]), "its source_trials cannot be written"),
        (lambda: samplers.PartialFixedSampler({"a": 1}, samplers.TPESampler()), "its fixed_params cannot be written"),
        (lambda: samplers.TPESampler(seed=3), r"has a seed of its own.*Study\(seed=\.\.\.\), or --seed"),
        (lambda: samplers.QMCSampler(seed=3), "has a seed of its own"),
        (lambda: Own(), r'an object of Own, .* sampler="tests\.test_spec_objects:Own\(\.\.\.\)"'),
        (lambda: samplers.TPESampler, "must be text, or one of Optuna's samplers.*sampler=\"tpe"),
        (lambda: pruners.MedianPruner(), "must be text, or one of Optuna's samplers"),
        (lambda: 3, "must be text, or one of Optuna's samplers, not 3"),
    ],
)
def test_an_object_that_no_text_makes_is_refused_with_a_text_that_could_be(make, said):
    with pytest.raises(SweepError, match=said):
        spec_text("sampler", make())


def test_a_study_takes_objects():
    study = sweep.Study(
        lambda _: 0.0,
        objective="loss",
        direction="minimize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=3),
        pruner=optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(), 2),
    )
    declared = study.declaration()
    assert declared.sampler == "tpe(n_startup_trials=3)"
    assert declared.pruner == "patient(wrapped_pruner=median, patience=2)"


def test_two_objects_differ_in_an_attribute_that_is_named():
    tpe = samplers.TPESampler
    assert _difference(tpe(), tpe()) is None
    assert _difference(tpe(), tpe(n_ei_candidates=3)) == "n_ei_candidates"
    assert _difference(tpe(), samplers.RandomSampler()) == ""
