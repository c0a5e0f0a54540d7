"""Architectures and families read off real Keras models."""

from collections.abc import Callable

import keras
import pytest
from keras import layers

from sweep.architecture import MAX_LENGTH, describe, family


class Block(layers.Layer):
    """A layer of the user's own that is made of layers, in a list."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.dense = [layers.Dense(units), layers.Dense(units)]
        self.dropout = layers.Dropout(0.1)

    def call(self, x):  # type: ignore[no-untyped-def]
        for layer in self.dense:
            x = layer(x)
        return self.dropout(x)


class WideAndDeep(keras.Model):
    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.block = Block(8)
        self.out = layers.Dense(1)

    def call(self, x):  # type: ignore[no-untyped-def]
        return self.out(self.block(x))


class Dense(layers.Layer):
    """A layer that shares no more than its name with Keras' own."""

    def build(self, shape: tuple[int, ...]) -> None:
        self.scale = self.add_weight(shape=(shape[-1],))

    def call(self, x):  # type: ignore[no-untyped-def]
        return x * self.scale


class MyDense(layers.Dense):
    """A Dense layer with a difference."""


def dense(*units: int) -> list[layers.Layer]:
    return [layers.Dense(each) for each in units]


STACKS: list[tuple[list[layers.Layer], str | None]] = [
    (dense(32, 32, 32, 32, 16, 1), "4x32_16"),
    (dense(16, 1), "16"),
    (dense(32, 16, 32, 1), "32_16_32"),
    ([MyDense(16), layers.Dense(1)], "16"),
    ([layers.Normalization(), layers.Dense(16), layers.BatchNormalization(), layers.PReLU(), layers.Dense(1)], "16"),
    ([layers.Dense(16), layers.Dropout(0.5), layers.Dense(16), layers.ReLU(), layers.Dense(1)], "2x16"),
    ([layers.Conv2D(32, 3), layers.Conv2D(32, (3, 3)), layers.Conv2D(64, 5), layers.Dense(1)], "2xc32_c64k5"),
    ([layers.Conv1D(32, 3), layers.Conv2D(8, (1, 7)), layers.Conv3D(8, 1), layers.Dense(1)], "c32_c8k1x7_c8k1"),
    ([layers.Conv2DTranspose(8, 3), layers.SeparableConv2D(8, 3), layers.Dense(1)], "ct8_cs8"),
    ([layers.DepthwiseConv2D(3, depth_multiplier=2), layers.Dense(1)], "cd2"),
    ([layers.Embedding(1000, 100), layers.LSTM(64), layers.Dense(1)], "e100_lstm64"),
    ([layers.GRU(64), layers.SimpleRNN(8), layers.Dense(1)], "gru64_rnn8"),
    ([layers.Bidirectional(layers.LSTM(64)), layers.Dense(1)], "bilstm64"),
    ([layers.RNN([layers.LSTMCell(4), layers.GRUCell(5)]), layers.Dense(1)], "lstm4_gru5"),
    ([layers.TimeDistributed(layers.Dense(7)), layers.Dense(1)], "7"),
    ([layers.EinsumDense("ab,bc->ac", output_shape=64), layers.Dense(1)], "64"),
    ([layers.SpectralNormalization(layers.Dense(9)), layers.Dense(1)], "9"),
    ([keras.Sequential(dense(8, 8)), keras.Sequential(dense(4, 1))], "2x8_4"),
    ([Block(8), layers.Dense(1)], "2x8"),
    (dense(1), None),
    ([], None),
    ([layers.Flatten()], None),
]


@pytest.mark.parametrize(("stack", "architecture"), STACKS)
def test_hidden_layers_are_named_in_order(stack: list[layers.Layer], architecture: str | None) -> None:
    assert describe(keras.Sequential(stack)) == architecture


def test_a_built_model_is_named_like_an_unbuilt_one() -> None:
    model = keras.Sequential([layers.Input((3,)), *dense(32, 32, 1)])
    assert model.built
    assert describe(model) == "2x32"


def test_a_functional_model_leaves_each_of_its_output_layers_unnamed() -> None:
    inputs = keras.Input((8,))
    hidden = layers.Dense(16)(layers.Dense(32)(inputs))
    outputs = {"price": layers.Dense(1, name="price")(hidden), "kind": layers.Dense(3, name="kind")(hidden)}
    assert describe(keras.Model(inputs, outputs)) == "32_16"


def test_an_activation_after_the_last_layer_does_not_make_it_a_hidden_one() -> None:
    inputs = keras.Input((8,))
    assert describe(keras.Model(inputs, layers.Softmax()(layers.Dense(3)(layers.Dense(16)(inputs))))) == "16"


def test_a_functional_model_may_hold_another() -> None:
    inputs = keras.Input((8,))
    body = keras.Sequential([layers.Input((8,)), *dense(32, 32)], name="body")
    assert describe(keras.Model(inputs, layers.Dense(1)(body(inputs)))) == "2x32"
    assert describe(keras.Model(inputs, body(layers.Dense(8)(inputs)))) == "8_32"


def test_attention_is_named_by_its_heads() -> None:
    inputs = keras.Input((10,))
    tokens = layers.Embedding(1000, 32)(inputs)
    attended = layers.LayerNormalization()(layers.MultiHeadAttention(8, 4)(tokens, tokens))
    pooled = layers.GlobalAveragePooling1D()(layers.GroupQueryAttention(4, 4, 2)(attended, attended))
    assert describe(keras.Model(inputs, layers.Dense(1)(pooled))) == "e32_h8_h4"


def test_a_subclassed_model_is_named_by_its_layers_whether_built_or_not() -> None:
    model = WideAndDeep()
    assert describe(model) == "2x8"
    model(keras.ops.zeros((1, 3)))
    assert describe(model) == "2x8"


def test_a_layer_of_the_users_own_is_named_by_its_class() -> None:
    inputs = keras.Input((8,))
    assert describe(keras.Model(inputs, layers.Dense(1)(Dense()(layers.Dense(16)(inputs))))) == "16_dens"


@pytest.mark.parametrize(
    ("units", "inputs", "count"),
    [
        ((20, 19, 18, 17, 16, 15, 14, 1), 3, "1944p"),
        ((100, 101, 102, 103, 104, 1), 100, "52kp"),
        ((1000, 1001, 1002, 1003, 1), 1000, "4014kp"),
        ((3000, 3001, 3002, 3003, 1), 1000, "30mp"),
    ],
)
def test_what_is_too_long_is_the_parameter_count(units: tuple[int, ...], inputs: int, count: str) -> None:
    class Counted(keras.Sequential):
        def count_params(self) -> int:
            widths = (inputs, *units)
            return sum((fan_in + 1) * fan_out for fan_in, fan_out in zip(widths, units, strict=False))

    model = Counted(dense(*units))
    model.built = True  # without the memory for its weights
    assert describe(model) == count


def test_what_is_too_long_is_not_named_before_it_is_built() -> None:
    model = keras.Sequential(dense(*range(10, 20), 1))
    assert describe(model) is None
    model.build((None, 3))
    assert describe(model) == f"{model.count_params()}p"


def test_an_architecture_fits_a_piece_of_a_run_name() -> None:
    assert len(describe(keras.Sequential(dense(1000, 100, 1000, 1001, 1))) or "") == MAX_LENGTH
    assert describe(keras.Sequential(dense(1000, 1001, 1000, 1001, 1))) is None


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: keras.Sequential(dense(1)), "wine"),
        (lambda: keras.Sequential(dense(1), name="mlp"), "mlp"),
        (lambda: keras.Sequential(dense(1), name="mlp_2"), "mlp_2"),
        (lambda: keras.Model(inputs := keras.Input((3,)), layers.Dense(1)(inputs)), "wine"),
        (lambda: keras.Model(inputs := keras.Input((3,)), layers.Dense(1)(inputs), name="dnn-broke"), "dnn-broke"),
        (lambda: WideAndDeep(), "wide_and_deep"),
        (lambda: WideAndDeep(name="deep"), "deep"),
    ],
)
def test_the_family_is_the_name_that_the_user_gave(make: Callable[[], keras.Model], name: str) -> None:
    assert [family(make(), default="wine") for _ in range(3)] == [name] * 3
