"""Numbers as inputs of a shared program: each one listed computes what a program of its own does, and what `fit` does.

"The same" is the same bits: curves, weights, optimizer state and metrics.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, losses, optimizers, regularizers

from sweep.train import compiled, program_cache, scalar_inputs, sharing
from sweep.train.data import rows
from sweep.train.programs import Program
from sweep.train.scalar_inputs import LISTED, Number, Scalar, ScalarInputs
from tests.train.same_as_fit import CLASSES, HELD_OUT, ROWS, X, Y, assert_same, assert_same_as_fit, sometimes, state

DRAW = np.random.default_rng(5)
IMAGES = DRAW.normal(size=(ROWS, 5, 5, 2)).astype("float32")
VOLUMES = DRAW.normal(size=(ROWS, 3, 3, 3, 2)).astype("float32")
STEPS = DRAW.normal(size=(ROWS, 5, 3)).astype("float32")
ONE_HOT = np.eye(3)[CLASSES].astype("float32")
CLIPS = ("clipnorm", "global_clipnorm", "clipvalue")


@pytest.fixture(autouse=True)
def _empty_shelf():
    program_cache.clear()
    yield
    program_cache.clear()
    keras.utils.clear_session()


def model_of(shape, inner, *, optimizer=None, loss="mse", outputs=1, **compile):
    inputs = hidden = keras.Input(shape)
    for layer in inner:
        hidden = layer(hidden)
    model = keras.Model(inputs, layers.Dense(outputs)(layers.Flatten()(hidden)))
    model.compile(optimizer or optimizers.SGD(0.01), loss, metrics=["mae"], **compile)
    return model


def dense(optimizer=None, loss="mse", outputs=1, inner=(), **compile):
    before = [layers.Dense(6, activation="tanh"), *inner]
    return model_of((6,), before, optimizer=optimizer, loss=loss, outputs=outputs, **compile)


def regularized(regularizer):
    """A layer with a regularizer on everything that takes one."""
    kinds = ("kernel_regularizer", "bias_regularizer", "activity_regularizer")
    return dense(inner=[layers.Dense(4, **dict.fromkeys(kinds, regularizer))])


# Two values of each number, and a model that is built with one.
CASES = {
    (layers.Dropout, "rate"): (0.3, 0.55, lambda v: (X, Y, dense(inner=[layers.Dropout(v)]))),
    (layers.SpatialDropout1D, "rate"): (0.3, 0.6, lambda v: (STEPS, Y, model_of((5, 3), [layers.SpatialDropout1D(v)]))),
    (layers.SpatialDropout2D, "rate"): (
        0.3,
        0.6,
        lambda v: (IMAGES, Y, model_of((5, 5, 2), [layers.Conv2D(4, 2), layers.SpatialDropout2D(v)])),
    ),
    (layers.SpatialDropout3D, "rate"): (
        0.3,
        0.6,
        lambda v: (VOLUMES, Y, model_of((3, 3, 3, 2), [layers.SpatialDropout3D(v)])),
    ),
    (layers.AlphaDropout, "rate"): (0.3, 0.1, lambda v: (X, Y, dense(inner=[layers.AlphaDropout(v)]))),
    (layers.GaussianNoise, "stddev"): (0.3, 0.7, lambda v: (X, Y, dense(inner=[layers.GaussianNoise(v)]))),
    (layers.BatchNormalization, "momentum"): (
        0.99,
        0.7,
        lambda v: (X, Y, dense(inner=[layers.BatchNormalization(momentum=v)])),
    ),
    (layers.ActivityRegularization, "l1"): (
        0.01,
        0.3,
        lambda v: (X, Y, dense(inner=[layers.ActivityRegularization(v, 0.1)])),
    ),
    (layers.ActivityRegularization, "l2"): (
        0.01,
        0.3,
        lambda v: (X, Y, dense(inner=[layers.ActivityRegularization(0.1, v)])),
    ),
    **{
        (cell, name): (
            0.2,
            0.6,
            lambda v, layer=layer, name=name: (STEPS, Y, model_of((5, 3), [layer(4, **{name: v})])),
        )
        for cell, layer in (
            (layers.SimpleRNNCell, layers.SimpleRNN),
            (layers.GRUCell, layers.GRU),
            (layers.LSTMCell, layers.LSTM),
        )
        for name in ("dropout", "recurrent_dropout")
    },
    (regularizers.L1, "l1"): (0.01, 0.3, lambda v: (X, Y, regularized(regularizers.L1(v)))),
    (regularizers.L2, "l2"): (0.01, 3.5e-5, lambda v: (X, Y, regularized(regularizers.L2(v)))),
    (regularizers.L1L2, "l1"): (0.01, 0.3, lambda v: (X, Y, regularized(regularizers.L1L2(v, 0.02)))),
    (regularizers.L1L2, "l2"): (0.01, 0.3, lambda v: (X, Y, regularized(regularizers.L1L2(0.02, v)))),
    **{
        (loss, "label_smoothing"): (
            0.1,
            0.27,
            lambda v, loss=loss: (
                X,
                ONE_HOT,
                dense(loss=loss(label_smoothing=v), outputs=3, inner=[layers.Dense(3, activation="sigmoid")]),
            ),
        )
        for loss in (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)
    },
    **{
        (loss, "label_smoothing"): (
            0.1,
            0.27,
            lambda v, loss=loss: (X, ONE_HOT, dense(loss=loss(from_logits=True, label_smoothing=v), outputs=3)),
        )
        for loss in (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy)
    },
    (keras.Model, "loss_weights"): (0.3, 0.7, lambda v: (X, Y, dense(loss_weights=[v]))),
}

OPTIMIZERS = [kind for kind in LISTED if issubclass(kind, optimizers.Optimizer)]
TWO = {
    "momentum": (0.9, 0.37),
    "rho": (0.9, 0.77),
    "beta_1": (0.9, 0.81),
    "beta_2": (0.999, 0.97),
    "weight_decay": (0.004, 0.03),
    "ema_momentum": (0.99, 0.8),
    "clipnorm": (0.1, 0.6),
    "global_clipnorm": (1.3, 2.7),
    "clipvalue": (0.05, 0.4),
}


def optimizer_of(kind, clip, which):
    """An optimizer with the first or second value of every number that it has, of the clips only one."""
    names = [name for name in LISTED[kind] if name == clip or name not in CLIPS]
    return kind(learning_rate=0.01, use_ema=True, **{name: TWO[name][which] for name in names})


def trained(build, *, empty=True):
    """The history and all that is left of a training, with an empty cache or with what is in it."""
    if empty:
        program_cache.clear()
    known = set(map(id, program_cache._programs.values()))
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    x, y, model = build()
    arguments = {"batch_size": 8, "epochs": 3, "shuffle": False, "validation_split": 0.3}
    history = compiled.fit(model, x, y, compiled=True, **arguments).history
    assert empty or set(map(id, program_cache._programs.values())) == known, "no program was shared"
    assert not program_cache._closed
    return history, [*state(model), *map(np.asarray, model.metrics_variables)]


def assert_shared_is_as_own(one, other):
    first, shared, own = trained(one), trained(other, empty=False), trained(other)
    assert first[0] != own[0], "the number makes no difference"
    assert_same(shared, own)
    x, y, _ = other()
    assert_same_as_fit(lambda: other()[2], x, y, epochs=2)


ALWAYS = {
    (layers.Dropout, "rate"),
    (layers.BatchNormalization, "momentum"),
    (layers.LSTMCell, "recurrent_dropout"),
    (regularizers.L2, "l2"),
    (losses.CategoricalCrossentropy, "label_smoothing"),
    (keras.Model, "loss_weights"),
}


@pytest.mark.parametrize("case", sometimes(CASES, ALWAYS), ids=lambda case: f"{case[0].__name__}-{case[1]}")
def test_a_number_that_is_an_input_is_as_one_in_the_program(case):
    first, second, build = CASES[case]
    assert_shared_is_as_own(lambda: build(first), lambda: build(second))


OFTEN = {(optimizers.Adam, "clipnorm"), (optimizers.AdamW, "global_clipnorm"), (optimizers.SGD, "clipvalue")}


@pytest.mark.parametrize(
    "case",
    sometimes([(kind, clip) for kind in OPTIMIZERS for clip in CLIPS], OFTEN),
    ids=lambda case: f"{case[0].__name__}-{case[1]}",
)
def test_numbers_of_an_optimizer_are_as_those_in_the_program(case):
    kind, clip = case
    assert_shared_is_as_own(*(lambda which=which: (X, Y, dense(optimizer_of(kind, clip, which))) for which in (0, 1)))


def test_every_number_that_is_listed_is_tested():
    tested = {*CASES} | {(kind, name) for kind in OPTIMIZERS for name in LISTED[kind]}
    assert {(kind, name) for kind, names in LISTED.items() for name in names} <= tested
    assert {name for kind in OPTIMIZERS for name in LISTED[kind]} <= set(TWO)


def test_weights_of_several_losses_are_inputs():
    def build(weights):
        inputs = keras.Input((6,))
        ends = {name: layers.Dense(1, name=name)(inputs) for name in ("one", "two")}
        model = keras.Model(inputs, ends)
        model.compile("sgd", {"one": "mse", "two": "mae"}, loss_weights=dict(zip(("one", "two"), weights, strict=True)))
        return X, {"one": Y, "two": Y * 2}, model

    assert_shared_is_as_own(lambda: build((0.5, 2.5)), lambda: build((0.25, 3.0)))


def key(model):
    sharing.build(model, rows(X, Y))
    return sharing.key(model)


def digest(**compiled):
    keras.utils.clear_session()
    inner = [layers.BatchNormalization(momentum=compiled.pop("momentum"))] if "momentum" in compiled else []
    return key(dense(inner=inner, **compiled)).digest


# What is no input


@pytest.mark.parametrize(("one", "other"), [(0.0, 0.3), (1.0, 0.3), (0.0, 1.0), (1, 0.3)])
def test_a_number_at_an_end_is_in_the_key(one, other):
    assert digest(momentum=one) != digest(momentum=other)
    assert digest(momentum=0.2) != digest(momentum=one)
    assert digest(momentum=0.2) == digest(momentum=0.3)


def test_numbers_on_both_sides_of_one_have_two_keys():
    digests = [digest(optimizer=optimizers.SGD(clipnorm=norm)) for norm in (0.5, 0.7, 1.5, 70.0)]
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_a_subclass_of_a_listed_class_opens_no_number():
    assert scalar_inputs.numbers_of(layers.Dropout(0.3), "rate", 0.3)

    class Own(layers.Dropout):
        pass

    assert not scalar_inputs.numbers_of(Own(0.3), "rate", 0.3)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, float("nan"), float("inf"), 1e39, 1, True, None, np.float64(0.5)])
def test_only_plain_numbers_above_zero_are_inputs(value):
    layer = layers.Dropout(0.3)
    layer.rate = value
    assert not scalar_inputs.numbers_of(layer, "rate", value)


def test_models_that_compute_with_other_types_keep_their_numbers():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(1, dtype="float64")(layers.Dropout(0.3)(inputs)))
    model.compile("sgd", "mse")
    assert key(model).numbers == ()
    assert key(dense(inner=[layers.Dropout(0.3)])).numbers


def test_a_number_that_a_callback_changes_when_training_begins_is_the_one_that_counts():
    def build():
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        return dense(inner=[layers.Dropout(0.3)])

    def change():
        callback = keras.callbacks.LambdaCallback()
        callback.on_train_begin = lambda logs: setattr(callback.model.layers[2], "rate", 0.7)
        return [callback]

    compiled.fit(build(), X, Y, batch_size=8, epochs=1, shuffle=False, compiled=True)
    assert_same_as_fit(build, X, Y, epochs=2, callbacks=change)


def test_a_model_is_as_it_was_after_its_trace():
    model = dense(optimizers.Adam(0.01, weight_decay=0.1), inner=[layers.Dense(3, kernel_regularizer="l1")])
    before = key(model)
    compiled.fit(model, X, Y, batch_size=8, shuffle=False, compiled=True)
    assert key(model).whole == before.whole
    assert model.optimizer.weight_decay == 0.1
    assert isinstance(model.layers[2].kernel_regularizer.l1, tf.Tensor)


def test_a_program_with_inputs_is_traced_once():
    model, traces = dense(optimizers.Adam(0.01, weight_decay=0.1), inner=[layers.Dropout(0.3)]), []
    numbers = key(model).numbers

    def step(data):
        traces.append(data)
        return model.train_step(data)

    program = Program(model, step, rows(X, Y).layout, shuffled=False, numbers=numbers).complete()
    assert len(program._scalars.cells) > 5
    assert len(traces) == 1


def test_a_trace_that_asks_for_the_number_itself_gets_a_program_of_its_own(monkeypatch):
    monkeypatch.setitem(LISTED, layers.GaussianDropout, ("rate",))  # which takes the root by Python's math

    def build(rate):
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        return X, Y, dense(inner=[layers.GaussianDropout(rate)])

    shared = trained_whatever(build(0.3)), trained_whatever(build(0.5)), trained_whatever(build(0.3))
    assert len(program_cache._closed) == 1
    assert len(program_cache._programs) == 2
    program_cache.clear()
    assert shared == (trained_whatever(build(0.3)), trained_whatever(build(0.5)), shared[0])
    assert_same_as_fit(lambda: build(0.7)[2], X, Y, epochs=2)


def trained_whatever(built):
    x, y, model = built
    return compiled.fit(model, x, y, batch_size=8, epochs=2, shuffle=False, compiled=True).history


# Scalars


def scalars(*values):
    inputs = ScalarInputs([Number(value, value, lambda _: None) for value in values])
    return inputs, [Scalar(inputs, ("number", place), value) for place, value in enumerate(values)]


EXPRESSIONS = {
    "sum": lambda a, b: 1 + a + b + 2,
    "difference": lambda a, b: 1 - a - b - 0.5,
    "product": lambda a, b: 3 * a * b * 0.1,
    "quotient": lambda a, b: 1 / a / b / 3,
    "power": lambda a, b: (1 - a**2) ** -0.5 + 2**b,
    "negative": lambda a, b: -a * b,
    "numpy": lambda a, b: np.float64(0.1) * a - b / np.float64(0.25),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_python_computes_with_scalars_as_with_numbers(name):
    compute = EXPRESSIONS[name]
    inputs, (a, b) = scalars(0.3, 0.7)
    program = tf.function(lambda x: x * compute(a, b)).get_concrete_function(tf.TensorSpec((), tf.float32))
    assert program(tf.constant(1.0)).numpy() == np.float32(compute(0.3, 0.7))
    assert [cell.numpy() for cell in inputs.bound([0.2, 0.9])] == [np.float32(compute(0.2, 0.9))]


@pytest.mark.parametrize(
    "ask",
    [
        float,
        int,
        abs,
        round,
        str,
        np.asarray,
        np.sqrt,
        "{:.1f}".format,
        hash,
        lambda a: a == 0.3,
        lambda a: a < 0.5,
        lambda a: 1 - a > 0,
        lambda a: bool(a * 2),
        lambda a: max(a, 0.1),
        lambda a: a in (0.1, 0.2),
        lambda a: [1, 2][a],
        tf.convert_to_tensor,
    ],
)
def test_a_scalar_never_gives_its_number_away(ask):
    _, (a, _) = scalars(0.3, 0.7)
    with pytest.raises(TypeError):
        ask(a)


def test_a_scalar_compares_with_zero_and_one_as_the_number_does():
    _, (a, b) = scalars(0.3, 1.7)
    assert a
    assert 0 < a < 1 < b
    assert a != 0
    assert not b <= 1.0
    assert not a == 1.0  # noqa: SIM201


def test_a_scalar_becomes_no_tensor_of_another_type():
    _, (a, _) = scalars(0.3, 0.7)
    for kind in (tf.float64, tf.float16, tf.int32):
        with pytest.raises(TypeError):
            tf.function(lambda x: x * a).get_concrete_function(tf.TensorSpec((), kind))


# Any architecture


def generated(seed, which):
    """A small network whose architecture is drawn from a seed, and its numbers from that seed and another."""
    draw, number = np.random.default_rng(seed), np.random.default_rng((seed, which))

    def fraction():
        return float(number.uniform(0.01, 0.95))

    def small():
        return float(10 ** number.uniform(-6, -0.5))

    def maybe(value):
        return value if draw.random() < 0.5 else None

    def regularizer():
        kinds = [lambda: None, lambda: regularizers.L1(small()), lambda: regularizers.L2(small())]
        kinds.append(lambda: regularizers.L1L2(small(), small()))
        return kinds[draw.integers(len(kinds))]()

    def dense_layer():
        activation = draw.choice(["relu", "tanh", "elu", "linear"])
        regularized = {name: regularizer() for name in ("kernel_regularizer", "activity_regularizer")}
        return layers.Dense(int(draw.integers(2, 9)), activation=activation, **regularized)

    def recurrent(**more):
        kind = [layers.LSTM, layers.GRU, layers.SimpleRNN][draw.integers(3)]
        rates = {name: fraction() for name in ("dropout", "recurrent_dropout") if draw.random() < 0.5}
        return kind(int(draw.integers(2, 6)), **rates, **more)

    def between():
        kinds = [
            lambda: layers.Dropout(fraction()),
            lambda: layers.AlphaDropout(fraction()),
            lambda: layers.GaussianNoise(fraction()),
            lambda: layers.BatchNormalization(momentum=fraction()),
            lambda: layers.ActivityRegularization(small(), small()),
            lambda: layers.LayerNormalization(),
            dense_layer,
        ]
        return kinds[draw.integers(len(kinds))]()

    data = [X.astype("float32"), IMAGES, STEPS][draw.integers(3)]
    inputs = hidden = keras.Input(data.shape[1:])
    if data is IMAGES:
        hidden = layers.Conv2D(int(draw.integers(2, 5)), 2, kernel_regularizer=regularizer())(hidden)
        hidden = layers.Flatten()(layers.SpatialDropout2D(fraction())(hidden))
    elif data is STEPS:
        hidden = layers.SpatialDropout1D(fraction())(hidden) if draw.random() < 0.5 else hidden
        hidden = recurrent(return_sequences=True)(hidden) if draw.random() < 0.3 else hidden
        hidden = recurrent()(hidden)
    for _ in range(draw.integers(1, 5)):
        before, hidden = hidden, between()(hidden)
        if before.shape == hidden.shape and draw.random() < 0.3:
            hidden = layers.Add()([before, hidden])
    kind = [losses.CategoricalCrossentropy, losses.BinaryCrossentropy, losses.CategoricalFocalCrossentropy]
    ends = [
        (Y.astype("float32"), layers.Dense(1)(hidden), "mse"),
        (
            ONE_HOT,
            layers.Dense(3, activation="softmax")(hidden),
            kind[draw.integers(3)](label_smoothing=fraction()),
        ),
    ]
    ends = ends if draw.random() < 0.3 else [ends[draw.integers(2)]]
    optimizer = OPTIMIZERS[draw.integers(len(OPTIMIZERS))]
    clip = [*CLIPS, None][draw.integers(4)]
    settings = {name: fraction() for name in LISTED[optimizer] if name not in CLIPS and draw.random() < 0.5}
    settings |= {clip: fraction()} if clip else {}
    model = keras.Model(inputs, [end for _, end, _ in ends])
    model.compile(
        optimizer(learning_rate=0.01, use_ema=bool(draw.random() < 0.3), **settings),
        [loss for _, _, loss in ends],
        loss_weights=maybe([float(number.uniform(0.1, 0.9)) for _ in ends]),
        metrics=[["mae"] for _ in ends],
    )
    return data, [target for target, _, _ in ends], model


@pytest.mark.parametrize("seed", sometimes(range(100), range(4)))
def test_any_model_trains_by_another_one_s_program_as_by_its_own(seed):
    trained(lambda: generated(seed, 0))
    shared = trained(lambda: generated(seed, 1), empty=False)
    assert_same(shared, trained(lambda: generated(seed, 1)))


def test_validation_data_of_another_size_shares_the_training_program_alone():
    def fit(rate, held_out):
        keras.utils.clear_session()
        model = dense(inner=[layers.Dropout(rate)])
        return compiled.fit(model, X, Y, batch_size=8, epochs=2, validation_data=held_out, compiled=True).history

    fit(0.3, HELD_OUT)
    assert len(program_cache._programs) == 2
    fit(0.4, (HELD_OUT[0][:5], HELD_OUT[1][:5]))
    assert len(program_cache._programs) == 3
