"""Programs that models of several widths share: each trains as by one of its own, bit for bit, and as by `fit`."""

import contextlib

import keras
import numpy as np
import pytest
from keras import constraints, layers, optimizers, regularizers

from sweep.train import compiled, program_cache, programs, sharing
from sweep.train.data import rows
from sweep.train.programs import Program
from sweep.train.widths import OPTIMIZERS, Tried
from tests.train.same_as_fit import assert_same, assert_same_as_fit, sometimes, state

DRAW = np.random.default_rng(11)
X = DRAW.normal(size=(40, 6)).astype("float32")
Y = DRAW.normal(size=(40, 1)).astype("float32")


@pytest.fixture(autouse=True)
def _empty_cache():
    program_cache.clear()
    yield
    program_cache.clear()
    keras.utils.clear_session()


@pytest.fixture
def traces(monkeypatch):
    """The programs that are traced."""
    traced = []

    class Counted(Program):
        def __init__(self, *arguments, **settings):
            traced.append(self)
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(program_cache, "Program", Counted)
    return traced


def network(*widths, inner=list, optimizer="adam", last=1):
    inputs = hidden = keras.Input((6,))
    for width in widths:
        hidden = layers.Dense(width, activation="relu")(hidden)
        for layer in inner():
            hidden = layer(hidden)
    model = keras.Model(inputs, layers.Dense(last)(hidden))
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def targets_of(model, target):
    return target if len(model.outputs) == 1 else [target] * len(model.outputs)


def trained(build, *, rows=40, batch_size=9, empty=False):
    """The history and all that is left of a training."""
    if empty:
        program_cache.clear()
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    model = build()
    targets, held_out = targets_of(model, Y[:rows]), (X[:10], targets_of(model, Y[:10]))
    settings = {"batch_size": batch_size, "epochs": 3, "shuffle": False, "validation_data": held_out}
    history = compiled.fit(model, X[:rows], targets, compiled=True, **settings).history
    return history, [*state(model), *map(np.asarray, model.metrics_variables)]


SERVED = {
    "plain": {},
    "Dropout": {"inner": lambda: [layers.Dropout(0.3)]},
    "noise": {"inner": lambda: [layers.GaussianNoise(0.3)]},
    "GaussianDropout": {"inner": lambda: [layers.GaussianDropout(0.2)]},
    "AlphaDropout": {"inner": lambda: [layers.ELU(), layers.AlphaDropout(0.1)]},
    "activations": {"inner": lambda: [layers.LeakyReLU(), layers.ELU()]},
    "gelu": {"inner": lambda: [layers.Activation("gelu")]},
} | {kind.__name__: {"optimizer": kind} for kind in sorted(OPTIMIZERS, key=lambda kind: kind.__name__)}


FULL, NOT_FULL = 36, 40  # rows, in batches of nine


@pytest.mark.parametrize(
    "case",
    sometimes(
        # Where the size of every batch is known too, a gelu's gradient has its shape in it.
        [(name, rows) for name in SERVED for rows in (FULL, NOT_FULL) if (name, rows) != ("gelu", FULL)],
        {("Dropout", FULL), ("plain", NOT_FULL)},
    ),
    ids=lambda case: f"{case[0]}-{case[1]}",
)
def test_the_third_width_and_all_after_it_need_no_trace(case, traces):
    name, rows = case

    def build(*widths):
        optimizer = SERVED[name].get("optimizer", optimizers.Adam)
        return lambda: network(*widths, **SERVED[name] | {"optimizer": optimizer(0.01)})

    trained(build(8, 5), rows=rows)
    trained(build(11, 6), rows=rows)
    assert len(traces) == 4  # of training and validation, each twice
    shared = trained(build(7, 12), rows=rows)
    assert len(traces) == 4
    assert_same(shared, trained(build(7, 12), rows=rows, empty=True))
    assert len(traces) == 6
    assert_same_as_fit(build(7, 12), X[:rows], Y[:rows], epochs=2, batch_size=9)


def regularized(*widths):
    inputs = hidden = keras.Input((6,))
    for width in widths:
        kernel, bias = regularizers.L1L2(0.01, 0.02), regularizers.L2(0.03)
        hidden = layers.Dense(width, kernel_regularizer=kernel, bias_regularizer=bias)(hidden)
    model = keras.Model(inputs, layers.Dense(1, kernel_regularizer=regularizers.L1(0.02))(hidden))
    model.compile(optimizers.AdamW(0.01, weight_decay=0.02, clipnorm=0.5), "mse")
    return model


def branched(*widths):
    first, second = widths
    inputs = keras.Input((6,))
    one, other = layers.Dense(first)(inputs), layers.Dense(first, activation="tanh")(inputs)
    joined = layers.Concatenate()([one, other])
    hidden = layers.Dense(second, kernel_constraint=constraints.MaxNorm(1.0))(joined)
    model = keras.Model(inputs, [layers.Dense(1)(hidden), layers.Dense(1)(one)])
    model.compile(optimizers.SGD(0.01), ["mse", "mae"], loss_weights=[0.3, 0.7])
    return model


@pytest.mark.parametrize("build", [regularized, pytest.param(branched, marks=pytest.mark.slow)])
def test_regularizers_and_branches_are_served_too(build, traces):
    trained(lambda: build(8, 5))
    trained(lambda: build(11, 6))
    shared = trained(lambda: build(7, 12))
    assert len(traces) == 4
    assert_same(shared, trained(lambda: build(7, 12), empty=True))


def test_a_model_is_as_it_was_after_its_trace():
    def settings(model):
        return [
            *(sorted(vars(layer)) for layer in model.layers),
            *(variable.regularizer for variable in model.trainable_variables),
            *(getattr(layer, "units", None) for layer in model.layers),
        ]

    model = regularized(8, 5)
    model.build((None, 6))
    before = settings(model)
    compiled.fit(model, X, Y, epochs=1, batch_size=9, compiled=True)
    assert settings(model) == before


def test_a_program_is_shared_only_where_each_width_has_been_varied():
    tried = Tried([8, 5, 5])
    assert tried.covers([8, 5, 5])
    assert not tried.covers([9, 5, 5])
    tried.add([9, 5, 6])
    assert tried.covers([7, 5, 7])
    assert not tried.covers([9, 6, 6])
    tried.add([8, 4, 5])
    assert tried.covers([1000, 2000, 3000])


def test_a_width_that_was_never_varied_is_traced_and_compared_first(traces):
    trained(lambda: network(8, 5))
    trained(lambda: network(11, 5))
    trained(lambda: network(12, 5))
    assert len(traces) == 4
    trained(lambda: network(12, 6))
    assert len(traces) == 6
    trained(lambda: network(13, 7))
    assert len(traces) == 6


def key(model, **data):
    sharing.build(model, rows(X, Y, batch_size=9))
    return sharing.key(model)


def test_models_of_one_topology_have_one_key_and_their_widths_beside_it():
    one = key(network(8, 5))
    keras.utils.clear_session()
    other = key(network(11, 6))
    assert one.digest == other.digest
    assert (one.widths, other.widths) == ((8, 5), (11, 6))
    assert one.whole != other.whole


@pytest.mark.parametrize(
    "other",
    [
        lambda: network(8, 1),  # which broadcasts
        lambda: network(8),
        lambda: network(8, 5, last=2),
        lambda: network(8, 5, inner=lambda: [layers.Dropout(0.1)]),
        lambda: network(8, 5, optimizer="sgd"),
        lambda: regularized(8, 5),
    ],
)
def test_what_is_no_width_of_a_hidden_layer_is_in_the_key(other):
    keras.utils.clear_session()
    one = key(network(8, 5)).digest
    keras.utils.clear_session()
    assert key(other()).digest != one


@pytest.mark.parametrize(
    "inner",
    [
        lambda: [layers.LayerNormalization()],
        lambda: [layers.Reshape((-1, 1)), layers.Flatten()],
        lambda: [layers.Reshape((-1, 1)), layers.LSTM(3)],
        lambda: [lambda inputs: layers.Multiply()([inputs, inputs])],
        lambda: [layers.BatchNormalization(), layers.GaussianNoise(0.1)],
        lambda: [layers.GaussianNoise(0.1), layers.BatchNormalization()],
        lambda: [layers.Dropout(0.1), layers.Dropout(0.1)],
    ],
    ids=["LayerNormalization", "Reshape", "LSTM", "Multiply", "before noise", "after noise", "two Dropouts"],
)
def test_a_layer_that_is_not_listed_or_not_in_its_place_keeps_every_width_in_the_key(inner):
    assert key(network(8, 5, inner=inner)).widths == ()


def test_layers_at_the_end_keep_their_widths():
    inputs = keras.Input((6,))
    hidden = layers.Dense(7)(inputs)
    end = layers.Activation("tanh")(layers.Concatenate()([layers.Dense(5)(hidden), layers.Dense(5)(inputs)]))
    model = keras.Model(inputs, [end, layers.Activation("relu")(layers.Dense(4)(hidden))])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    assert sharing.key(model).widths == (7,)


def test_a_width_that_is_the_size_of_every_batch_gets_a_program_of_its_own(traces):
    for widths in ((8, 5), (11, 6), (9, 7)):
        trained(lambda widths=widths: network(*widths), rows=36)
    assert len(traces) == 5  # the validation rows are 10, in batches of 9: the width of 9 is like any other there


def side_by_side(*widths):
    inputs = keras.Input((6,))
    joined = layers.Concatenate()([layers.Dense(width)(inputs) for width in widths])
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(joined)))  # whose shape is a constant, the sum
    model.compile("adam", "mse")
    return model


def test_two_graphs_that_agree_in_a_sum_of_widths_do_not_serve_another_sum(traces):
    trained(lambda: side_by_side(8, 5))
    trained(lambda: side_by_side(7, 6))
    other = trained(lambda: side_by_side(9, 20))
    assert len(traces) == 6
    assert_same(other, trained(lambda: side_by_side(9, 20), empty=True))


def test_a_training_whose_callbacks_cannot_be_made_gives_its_program_back(traces):
    class Refusing(keras.callbacks.Callback):
        def set_params(self, params):
            raise RuntimeError("no")

    trained(lambda: network(8, 5))
    trained(lambda: network(11, 6))
    model = network(7, 12)
    with pytest.raises(RuntimeError, match="no"):
        compiled.fit(model, X, Y, batch_size=9, validation_data=(X[:10], Y[:10]), callbacks=[Refusing()], compiled=True)
    keras.utils.clear_session()
    before = len(traces)
    trained(lambda: network(9, 4))
    assert len(traces) == before


def test_two_graphs_that_differ_are_never_shared(traces, monkeypatch):
    """A layer that asks for its width, if one came to be listed."""
    call = layers.Dense.call

    def asking(self, inputs, training=None):
        outputs = call(self, inputs, training)
        return outputs * float(self.units)

    monkeypatch.setattr(layers.Dense, "call", asking)
    for widths in ((8, 5), (11, 6), (7, 12)):
        trained(lambda widths=widths: network(*widths))
    assert len(traces) == 6
    assert_same(trained(lambda: network(7, 12)), trained(lambda: network(7, 12), empty=True))


def test_a_model_whose_shapes_cannot_be_left_open_gets_a_program_of_its_own(monkeypatch):
    def refusing(tensor):
        raise TypeError("its sizes are asked for")

    own = trained(lambda: regularized(8, 5), empty=True)
    program_cache.clear()
    monkeypatch.setattr("sweep.train.widths._opaque", refusing)
    assert_same(trained(lambda: regularized(8, 5)), own)


def test_two_trainings_at_once_never_share_a_graph():
    trained(lambda: network(8, 5))
    trained(lambda: network(11, 6))
    inner = []

    def train_another(epoch, logs):
        model = network(7, 12)
        inner.append(compiled.fit(model, X, Y, epochs=1, batch_size=9, shuffle=False, compiled=True).history)

    keras.utils.set_random_seed(3)
    callback = keras.callbacks.LambdaCallback(on_epoch_end=train_another)
    outer = compiled.fit(
        network(13, 4), X, Y, epochs=2, batch_size=9, shuffle=False, callbacks=[callback], compiled=True
    )
    assert len(inner) == 2
    keras.utils.set_random_seed(3)
    program_cache.clear()
    alone = compiled.fit(network(13, 4), X, Y, epochs=1, batch_size=9, shuffle=False, compiled=True)
    assert outer.history["loss"][0] == alone.history["loss"][0]


# Any architecture


def generated(seed, which):
    """A network of Dense layers whose architecture is drawn from a seed, and its widths from that seed and another."""
    draw, width = np.random.default_rng(seed), np.random.default_rng((seed, which))
    broadcasts = seed % 4 == 0  # then it keeps a program of its own, unless it happens to have no such layer

    def regularizer():
        kinds = [None, None, regularizers.L1(0.003), regularizers.L2(0.01), regularizers.L1L2(0.002, 0.01)]
        return kinds[draw.integers(len(kinds))]

    def constraint():
        kinds = [None, None, constraints.MaxNorm(0.7), constraints.NonNeg(), constraints.UnitNorm()]
        return kinds[draw.integers(len(kinds))]

    def dense(units):
        activation = ["relu", "tanh", "elu", "linear", "softmax", "gelu"][draw.integers(6)]
        if units == 1 and activation == "softmax":
            activation = "sigmoid"  # the other is always 1, of which Keras warns
        return layers.Dense(
            units,
            activation=activation,
            use_bias=bool(draw.random() < 0.8),
            kernel_regularizer=regularizer(),
            bias_regularizer=regularizer(),
            activity_regularizer=regularizer() if draw.random() < 0.2 else None,
            kernel_constraint=constraint(),
        )

    def between():
        kinds = [
            lambda: layers.Dropout(0.3),
            lambda: layers.AlphaDropout(0.1),
            lambda: layers.GaussianNoise(0.2),
            lambda: layers.BatchNormalization(),
            lambda: layers.BatchNormalization(center=False, beta_regularizer=regularizer()),
            lambda: layers.BatchNormalization(gamma_regularizer=regularizer(), momentum=0.7),
            lambda: layers.ActivityRegularization(0.01, 0.02),
            lambda: layers.LeakyReLU(),
            lambda: layers.Rescaling(0.5),
            lambda: layers.LayerNormalization(),
        ]
        return kinds[draw.integers(len(kinds))]()

    def units():
        return int(width.integers(1 if draw.random() < 0.05 else 2, 30))

    inputs = hidden = keras.Input((6,))
    ends = []
    for _ in range(draw.integers(1, 5)):
        kind, size = draw.random(), units()
        if kind < 0.25:
            merge = [layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Subtract][draw.integers(5)]
            merge = merge if broadcasts else layers.Concatenate
            hidden = merge()([dense(size)(hidden), dense(size)(inputs)])
        elif kind < 0.4:
            hidden = layers.Concatenate()([dense(size)(hidden), hidden])
        elif kind < 0.5:
            gate = layers.Multiply if broadcasts else layers.Concatenate
            hidden = gate()([dense(size)(hidden), dense(1)(hidden)])
        else:
            hidden = dense(size)(hidden)
        for _ in range(draw.integers(0, 3)):
            hidden = between()(hidden)
        if draw.random() < 0.15:
            ends.append(layers.Dense(1, name=f"end{len(ends)}")(hidden))
    model = keras.Model(inputs, [*ends, layers.Dense(1, name="end")(hidden)])
    kinds = sorted(OPTIMIZERS, key=lambda kind: kind.__name__)
    clip = [{}, {}, {"clipnorm": 0.4}, {"global_clipnorm": 0.9}, {"clipvalue": 0.1}][draw.integers(5)]
    optimizer = kinds[draw.integers(len(kinds))](0.01, use_ema=bool(draw.random() < 0.2), **clip)
    model.compile(optimizer, [["mse", "mae", "huber"][draw.integers(3)] for _ in model.outputs])
    return model


@pytest.mark.parametrize("seed", sometimes(range(80), [1]))
def test_any_model_trains_by_a_shared_program_as_by_its_own_and_as_by_fit(seed, monkeypatch):
    """Its own is one whose shapes are all constants, as in `fit`."""
    count = FULL if seed % 3 == 0 else NOT_FULL
    shared = [trained(lambda which=which: generated(seed, which), rows=count) for which in range(4)]
    monkeypatch.setattr(programs, "shapes_open", contextlib.nullcontext)
    for which in (0, 2, 3):
        assert_same(shared[which], trained(lambda which=which: generated(seed, which), rows=count, empty=True))
    targets = targets_of(generated(seed, 2), Y[:count])
    settings = {"epochs": 2, "batch_size": 9, "tolerance": 1e-4}
    assert_same_as_fit(lambda: generated(seed, 2), X[:count], targets, **settings)
