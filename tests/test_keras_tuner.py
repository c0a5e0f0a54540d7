"""Keras Tuner's search space over an Optuna trial, and studies made of its `build(hp)` functions."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import sweep
from sweep.errors import StudyError
from sweep.keras_tuner import HyperParameters
from sweep.keras_tuner.exploration import explore
from sweep.keras_tuner.hyperparameters import Condition, scoped_name
from tests.whole_study import read


def ask() -> optuna.Trial:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()


def given(**params: object) -> HyperParameters:
    """Hyperparameters of a trial whose values are known beforehand."""
    return HyperParameters(optuna.trial.FixedTrial(params))


@pytest.mark.parametrize(
    ("space", "distribution"),
    [
        (lambda hp: hp.Int("p", 6, 12), IntDistribution(6, 12)),
        (lambda hp: hp.Int("p", 6, 13, step=3), IntDistribution(6, 12, step=3)),
        (lambda hp: hp.Int("p", 32, 512, 32), IntDistribution(32, 512, step=32)),
        (lambda hp: hp.Int("p", 1, 512, sampling="log"), IntDistribution(1, 512, log=True)),
        (lambda hp: hp.Int("p", 2, 32, step=2, sampling="log"), CategoricalDistribution([2, 4, 8, 16, 32])),
        (lambda hp: hp.Int("p", 1, 5, sampling=None), IntDistribution(1, 5)),
        (lambda hp: hp.Float("p", 0, 1), FloatDistribution(0.0, 1.0)),
        (lambda hp: hp.Float("p", 0, 1, step=0.2), FloatDistribution(0.0, 1.0, step=0.2)),
        (lambda hp: hp.Float("p", 0.05, 0.4, step=0.1), FloatDistribution(0.05, 0.35, step=0.1)),
        (lambda hp: hp.Float("p", 1e-4, 1e-2, sampling="log"), FloatDistribution(1e-4, 1e-2, log=True)),
        (
            lambda hp: hp.Float("p", 0.001, 10, step=10, sampling="log"),
            CategoricalDistribution([0.001, 0.01, 0.1, 1.0, 10.0]),
        ),
        (lambda hp: hp.Choice("p", ["relu", "tanh"]), CategoricalDistribution(["relu", "tanh"])),
        (lambda hp: hp.Choice("p", [1, 2, 4], ordered=True, default=2), CategoricalDistribution([1, 2, 4])),
        (lambda hp: hp.Boolean("p"), CategoricalDistribution([False, True])),
    ],
)
def test_each_hyperparameter_is_the_parameter_of_optuna_that_its_documentation_describes(space, distribution):
    trial = ask()
    value = space(HyperParameters(trial))
    assert trial.distributions == {"p": distribution}
    assert trial.params == {"p": value}


def test_a_fixed_value_is_in_the_values_and_no_parameter_of_the_trial():
    trial = ask()
    hp = HyperParameters(trial)
    assert hp.Fixed("layers", [64, 32]) == [64, 32]
    assert hp.values == {"layers": [64, 32]}
    assert trial.params == {}


def test_a_name_that_is_there_already_has_its_first_value_again():
    hp = given(activation="tanh")
    assert [hp.Choice("activation", ["relu", "tanh"]) for _ in range(3)] == ["tanh"] * 3
    hp.Fixed("units", 8)
    assert hp.Int("units", 16, 64) == 8


def test_the_values_are_asked_for_by_name():
    hp = given(units=16)
    hp.Int("units", 8, 64)
    assert "units" in hp
    assert "depth" not in hp
    assert hp.get("units") == 16
    with pytest.raises(KeyError, match="depth is no active hyperparameter; active are: units"):
        hp.get("depth")


def test_a_name_scope_stands_before_the_names_in_it():
    hp = given(**{"units": 8, "encoder/units": 16, "encoder/head/units": 32})
    hp.Int("units", 8, 64)
    with hp.name_scope("encoder"):
        hp.Int("units", 8, 64)
        with hp.name_scope("head"):
            hp.Int("units", 8, 64)
        assert hp.get("units") == 16
    assert hp.values == {"units": 8, "encoder/units": 16, "encoder/head/units": 32}


def test_hyperparameters_of_a_condition_not_met_are_none_and_are_not_suggested():
    trial = optuna.trial.FixedTrial({"model": "cnn", "filters": 16})
    hp = HyperParameters(trial)
    hp.Choice("model", ["mlp", "cnn"])
    with hp.conditional_scope("model", ["mlp"]):
        assert hp.Int("units", 8, 64) is None
        assert hp.Fixed("activation", "relu") is None
    with hp.conditional_scope("model", "cnn"):
        assert hp.Int("filters", 8, 64) == 16
    assert trial.params == hp.values == {"model": "cnn", "filters": 16}


def test_the_same_name_may_stand_under_two_conditions():
    hp = given(a=2, b=40)
    hp.Choice("a", [1, 2, 3])
    assert hp.Int("b", 0, 10, parent_name="a", parent_values=1) is None
    assert hp.Int("b", 0, 100, parent_name="a", parent_values=[2, 3]) == 40


def test_a_condition_within_a_condition_needs_both():
    hp = given(join="sum", layers=2, model="cnn")
    hp.Choice("model", ["mlp", "cnn"])
    hp.Int("layers", 1, 2)
    with hp.conditional_scope("model", ["mlp"]):
        hp.Choice("join", ["sum", "mean"])
        with hp.conditional_scope("layers", [2]):
            assert hp.Boolean("gate") is None
        with hp.conditional_scope("join", ["sum"]):  # its parent is inactive
            assert hp.Boolean("bias") is None


def test_a_parent_within_a_name_scope_is_named_without_it():
    hp = given(**{"block/kind": "resnet", "block/depth": 50})
    with hp.name_scope("block"):
        hp.Choice("kind", ["resnet", "xception"])
        with hp.conditional_scope("kind", ["resnet"]):
            assert hp.Choice("depth", [50, 101]) == 50


def choose(hp):
    """Keras Tuner's own example of a conditional scope: one name, and other values under each condition."""
    choice = hp.Choice("choice", [1, 2, 3])
    with hp.conditional_scope("choice", [1, 3]):
        low = hp.Choice("child", [4, 5, 6])
    with hp.conditional_scope("choice", 2):
        high = hp.Choice("child", [7, 8, 9])
    return choice, low, high


def guarded(hp):
    """The same, where each scope is opened only if its condition holds."""
    kind = hp.Choice("kind", ["a", "b", "c"])
    if kind == "a":
        return None
    if kind == "b":
        with hp.conditional_scope("kind", ["b"]):
            return hp.Int("child", 1, 3)
    with hp.conditional_scope("kind", ["c"]):
        return hp.Float("child", 0.1, 0.2)


def nested(hp):
    """A clash that shows two conditions deep, in one branch through `parent_name`, and an unconditional name."""
    hp.Choice("model", ["mlp", "cnn"])
    with hp.conditional_scope("model", ["cnn"]):
        hp.Choice("pool", ["max", "mean"])
        with hp.conditional_scope("pool", ["mean"]):
            hp.Int("size", 1, 8)
    hp.Float("size", 0, 1, parent_name="model", parent_values=["mlp"])
    hp.Int("units", 2, 4)


def names_of(declare) -> dict[str, object]:
    """Every parameter that trials of a search space have, with its distribution."""
    name = explore(declare)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):  # Optuna refuses a name that has another distribution
        declare(HyperParameters(study.ask(), name=name))
    return {key: value for trial in study.trials for key, value in trial.distributions.items()}


def test_one_name_with_other_values_in_another_scope_is_two_parameters_that_say_their_conditions():
    assert names_of(choose) == {
        "choice": CategoricalDistribution([1, 2, 3]),
        "child[choice=1,3]": CategoricalDistribution([4, 5, 6]),
        "child[choice=2]": CategoricalDistribution([7, 8, 9]),
    }


def test_integers_in_one_branch_and_floats_in_another_are_two_parameters():
    assert names_of(guarded) == {
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "child[kind=b]": IntDistribution(1, 3),
        "child[kind=c]": FloatDistribution(0.1, 0.2),
    }


def test_nested_conditions_and_parent_names_are_told_apart_alike():
    assert names_of(nested) == {
        "model": CategoricalDistribution(["mlp", "cnn"]),
        "pool": CategoricalDistribution(["max", "mean"]),
        "size[model=cnn][pool=mean]": IntDistribution(1, 8),
        "size[model=mlp]": FloatDistribution(0.0, 1.0),
        "units": IntDistribution(2, 4),
    }


def test_a_name_that_optuna_can_have_twice_stays_as_it_was_in_studies_of_earlier_versions():
    def declare(hp):
        hp.Choice("model", ["mlp", "cnn", "rnn"])
        with hp.conditional_scope("model", ["mlp"]):
            hp.Int("units", 1, 8)
            hp.Choice("act", ["relu", "tanh"])
        with hp.conditional_scope("model", ["cnn"]):
            hp.Int("units", 1, 64)
            hp.Choice("act", ["relu", "tanh"])

    assert set(names_of(declare)) == {"model", "units", "act"}


def test_the_unconditional_parameter_of_a_name_keeps_it():
    def declare(hp):
        if hp.Boolean("deep"):
            with hp.conditional_scope("deep", [True]):
                hp.Choice("units", [64, 128])
        else:
            hp.Choice("units", [4, 8])
            with hp.conditional_scope("deep", [False]):
                hp.Boolean("wide")

    assert set(names_of(declare)) == {"deep", "units", "units[deep=true]", "wide"}


def test_the_values_are_found_by_the_name_that_was_declared():
    for choice, child in ((1, 5), (2, 9), (3, 4)):
        name = "child[choice=2]" if choice == 2 else "child[choice=1,3]"
        hp = given(**{"choice": choice, name: child})
        choose(hp)
        assert hp.values == {"choice": choice, "child": child}
        assert hp["child"] == hp.get("child") == child


def test_texts_and_numbers_of_a_condition_are_told_apart():
    assert scoped_name("p", (Condition("q", ("1", 1, True, "a,b]")),)) == "p[q=~31,1,true,a~2cb~5d]"


@pytest.mark.parametrize(
    "child",
    [
        lambda hp: hp.Int("a", 1, 2, parent_name="a", parent_values=[1]),
        lambda hp: hp.Fixed("a", 1, parent_name="a", parent_values=[2]),
    ],
)
def test_a_child_with_its_parents_name_is_refused(child):
    hp = given(a=1)
    hp.Choice("a", [1, 2])
    with pytest.raises(StudyError, match=r"^Hyperparameter a depends on a parent of the same name\. Give the child"):
        child(hp)


def test_an_exploration_goes_on_where_values_do_not_go_together():
    def declare(hp):
        kind = hp.Choice("kind", ["a", "b", "c"])
        if kind == "b":
            raise ValueError("no b today")
        with hp.conditional_scope("kind", ["a"]):
            hp.Int("child", 1, 3)
        with hp.conditional_scope("kind", ["c"]):
            hp.Choice("child", ["x", "y"])

    assert explore(declare)("child", (Condition("kind", ("c",)),)) == "child[kind=c]"


def test_a_copy_has_the_values_and_gives_what_it_declares_its_default_without_a_parameter():
    trial = optuna.trial.FixedTrial({"units": 16})
    hp = HyperParameters(trial)
    hp.Int("units", 8, 64)
    copied = hp.copy()
    assert copied.Int("units", 8, 64) == copied["units"] == 16
    assert [
        copied.Int("depth", 2, 5),
        copied.Float("rate", 0.5, 1, default=0.75),
        copied.Choice("act", ["relu", "tanh"]),
        copied.Choice("norm", ["batch", None]),
        copied.Boolean("bias", default=True),
    ] == [2, 0.75, "relu", None, True]
    assert hp.values == trial.params == {"units": 16}


def test_an_untunable_hypermodel_builds_with_defaults():
    class Untunable:
        """What `kt.HyperModel(tunable=False)` does."""

        def build(self, hp):
            return hp.copy().Int("units", 8, 64)

    hp = given()
    assert Untunable().build(hp) == 8
    assert hp.values == {}


def test_activity_is_asked_for_by_name_or_parameter():
    hp = given(model="cnn", filters=16)
    hp.Choice("model", ["mlp", "cnn"])
    hp.Int("units", 8, 64, parent_name="model", parent_values=["mlp"])
    hp.Int("filters", 8, 64, parent_name="model", parent_values=["cnn"])
    assert [hp.is_active(one) for one in hp.space] == [True, False, True]
    assert [hp.is_active(name) for name in ("model", "units", "filters", "depth")] == [True, False, True, False]
    with pytest.raises(ValueError, match="units is inactive; active are: model, filters"):
        hp.get("units")


def test_the_space_is_written_as_keras_tuner_writes_it_and_read_back():
    hp = given(model="cnn", filters=16)
    hp.Choice("model", ["mlp", "cnn"])
    hp.Fixed("layers", 2)
    hp.Int("filters", 8, 64, step=8, parent_name="model", parent_values=["cnn"])
    assert [(one.name, one.default) for one in hp.space] == [("model", "mlp"), ("layers", 2), ("filters", 8)]
    assert hp.space[2].min_value == 8
    config = hp.get_config()
    assert config["values"] == {"model": "cnn", "layers": 2, "filters": 16}
    assert config["space"][2] == {
        "class_name": "Int",
        "config": {
            "name": "filters",
            "default": 8,
            "conditions": [{"class_name": "Parent", "config": {"name": "model", "values": ["cnn"]}}],
            "min_value": 8,
            "max_value": 64,
            "step": 8,
            "sampling": "linear",
        },
    }
    assert HyperParameters.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (
            lambda hp: hp.Float("momentum", 0.5, 0.99, sampling="reverse_log"),
            'The sampling of hyperparameter momentum must be "linear" or "log", not \'reverse_log\'. '
            'Sample its distance from max_value with "log".',
        ),
        (
            lambda hp: hp.Int("units", 8, 64, sampling="LOG"),
            'The sampling of hyperparameter units must be "linear" or "log", not \'LOG\'.',
        ),
        (lambda hp: hp.Int("units", 8, 64, step=0), "The step of hyperparameter units must be greater than 0, not 0."),
        (
            lambda hp: hp.Int("units", 8, 64, step=1, sampling="log"),
            "With log sampling, hyperparameter units needs a min_value above 0 and a step above 1, which multiplies. "
            "Got min_value=8, step=1.",
        ),
        (
            lambda hp: hp.Float("rate", 0, 1, step=10, sampling="log"),
            "With log sampling, hyperparameter rate needs a min_value above 0 and a step above 1, which multiplies. "
            "Got min_value=0.0, step=10.",
        ),
        (
            lambda hp: hp.Int("units", 8, 64, parent_name="model", parent_values=["mlp"]),
            "There is no hyperparameter model yet for another to depend on. "
            "Define the parent first. So far there are: none.",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(space, line):
    with pytest.raises(StudyError) as refusal:
        space(HyperParameters(ask()))
    assert str(refusal.value) == line


def test_what_does_not_build_is_refused():
    with pytest.raises(
        StudyError, match=r"Expected a function build\(hp\), or an object with a method build\(hp\), not 'mlp'"
    ):
        sweep.from_keras_tuner("mlp", [], [], objective="val_loss", direction="minimize")


def test_the_direction_is_stated_and_never_inferred():
    with pytest.raises(TypeError, match="direction"):
        sweep.from_keras_tuner(lambda hp: None, [], [], objective="val_accuracy")


def test_the_study_has_the_settings_it_was_given_and_the_file_of_its_build_function():
    study = sweep.from_keras_tuner(
        lambda hp: None, [], [], objective="val_accuracy", direction="maximize", trials=7, epochs=3, pruner="nop"
    )
    declared = study.declaration()
    assert declared.objective == ["val_accuracy"]
    assert declared.direction == ["maximize"]
    assert (declared.trials, declared.epochs, declared.pruner) == (7, 3, "nop")
    assert declared.file == __file__


def build(hp):
    """A model of one or two layers, by an optimizer that has a parameter of its own."""
    import keras

    model = keras.Sequential([keras.Input((4,))])
    for layer in range(hp.Int("layers", 1, 2)):
        model.add(
            keras.layers.Dense(hp.Int(f"units_{layer}", 4, 16, step=4), activation=hp.Fixed("activation", "relu"))
        )
    model.add(keras.layers.Dense(1))
    optimizer = hp.Choice("optimizer", ["adam", "sgd"])
    momentum = hp.Float("momentum", 0, 0.9, parent_name="optimizer", parent_values=["sgd"])
    model.compile("adam" if optimizer == "adam" else keras.optimizers.SGD(momentum=momentum), loss="mse")
    return model


class Hyper:
    """A `HyperModel` that tunes how it is trained too."""

    def __init__(self, result=lambda history: history):
        self.result = result

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(
            *args, batch_size=hp.Choice("batch_size", [16, 32]), epochs=hp.Int("epochs", 2, 3), **kwargs
        )
        return self.result(history)


@pytest.fixture
def rows():
    """Sixty rows of four inputs, and their sums."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    return x, x.sum(axis=1)


def run(folder, tuned, rows, **settings) -> optuna.Study:
    x, y = rows
    study = sweep.from_keras_tuner(
        tuned,
        x[:40],
        y[:40],
        validation_data=(x[40:], y[40:]),
        objective="val_loss",
        direction="minimize",
        pruner="nop",
        seed=1,
        name="tuned",
        **settings,
    )
    return study.run(workers=0, storage=f"sqlite:///{folder / 'sweep.db'}", logdir=str(folder / "runs"))


def test_a_build_function_runs_as_a_study_whose_runs_are_named_after_its_hyperparameters(tmp_path, rows):
    enqueue = [
        {"layers": 2, "units_0": 8, "units_1": 4, "optimizer": "sgd", "momentum": 0.5},
        {"layers": 1, "units_0": 16, "optimizer": "adam"},
    ]
    study = run(tmp_path, build, rows, trials=2, epochs=2, enqueue=enqueue, batch_size=8)
    assert [trial.params for trial in study.trials] == enqueue
    assert [len(trial.intermediate_values) for trial in study.trials] == [2, 2]
    assert [trial.value for trial in study.trials] == [
        min(trial.intermediate_values.values()) for trial in study.trials
    ]
    names = sorted(path.name for path in (tmp_path / "runs" / "tuned").glob("*-t*"))
    assert [name.split("-")[:2] + name.split("-")[-1:] for name in names] == [
        ["tuned", "16", "t0001"],
        ["tuned", "8_4", "t0000"],
    ]


def test_a_hypermodels_own_fit_trains_through_sweep_fit_and_tunes_what_it_gives_it(tmp_path, rows):
    study = run(tmp_path, Hyper(), rows, trials=2)
    for trial in study.trials:
        assert {"batch_size", "epochs", "layers"} <= set(trial.params)
        assert len(trial.intermediate_values) == trial.params["epochs"]
        assert trial.value == min(trial.intermediate_values.values())


@pytest.mark.parametrize("result", [lambda history: 7.5, lambda history: {"loss": 1.0, "val_loss": 7.5}])
def test_what_a_hypermodels_fit_returns_is_the_trials_value(tmp_path, rows, result):
    (trial,) = run(tmp_path, Hyper(result), rows, trials=1).trials
    assert trial.value == 7.5


def test_a_hypermodels_fit_that_trains_nothing_is_refused(tmp_path, rows):
    class Idle(Hyper):
        def fit(self, hp, model, *args, **kwargs):
            return None

    with pytest.raises(
        sweep.SweepError, match=r"fit must call model\.fit, or return a number .* with val_loss, not None"
    ):
        run(tmp_path, Idle(), rows, trials=1)


class Scoped(Hyper):
    """Has one name under two conditions, both where it builds and where it trains."""

    def __init__(self):
        super().__init__()
        self.built = []

    def build(self, hp):
        import keras

        _, low, high = choose(hp)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(low or high), keras.layers.Dense(1)])
        model.compile("adam", loss="mse")
        self.built.append((model.layers[0].name, np.random.random()))
        return model

    def fit(self, hp, model, *args, **kwargs):
        with hp.conditional_scope("choice", [1]):
            small = hp.Choice("batch_size", [8, 16])
        with hp.conditional_scope("choice", [2, 3]):
            large = hp.Choice("batch_size", [32, 40])
        return model.fit(*args, batch_size=small or large, epochs=1, **kwargs)


def test_a_study_of_conditional_scopes_trains_every_branch_under_names_that_no_order_of_trials_changes(tmp_path, rows):
    import keras

    tuned, enqueue = Scoped(), [{"choice": 3}, {"choice": 2}, {"choice": 1}]
    study = run(tmp_path, tuned, rows, trials=3, enqueue=enqueue)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert [sorted(trial.params) for trial in study.trials] == [
        ["batch_size[choice=2,3]", "child[choice=1,3]", "choice"],
        ["batch_size[choice=2,3]", "child[choice=2]", "choice"],
        ["batch_size[choice=1]", "child[choice=1,3]", "choice"],
    ]
    seeds = [run.seed for run in read(f"sqlite:///{tmp_path / 'sweep.db'}", "tuned", tmp_path).runs]
    began = []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        began.append(("dense", np.random.random()))
    assert tuned.built[-3:] == began  # the exploration before the first has left no trace
