"""A study that trains one kind of model in each trial, for tests that load them; `KINDS` are their builders: the rare
ones where the environment has ZOO=rare.

Each returns the model, its data and, where they are special, more arguments of `sweep.fit`.
"""

import os

import keras
import numpy as np
import tensorflow as tf
from beside import Scale
from keras import layers

import sweep

GENERATOR = np.random.default_rng(3)
RAW = (GENERATOR.normal(size=(60, 3)) * 50 + 300).astype("float32")
X = (RAW - 300) / 50
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
TEXTS = tf.constant([["a good film"], ["a bad film"], ["a great one"], ["an awful one"]] * 15)
WORDS = tf.constant([["a"], ["b"], ["c"], ["d"]] * 15)
NUMBERS = np.array([[10], [20], [30], [40]] * 15)
FACTOR = 3.0


def compiled(model, loss="mse", metrics=("mae",)):
    model.compile(keras.optimizers.Adam(0.01), loss=loss, metrics=list(metrics))
    return model


def functional(inputs, outputs, **settings):
    return compiled(keras.Model(inputs, layers.Dense(1)(layers.Dense(4, "relu")(outputs))), **settings)


def around(layer, shape=(3,), dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    return functional(inputs, layer(inputs))


def plain():
    return around(layers.Dense(4)), X, Y


def adapted_normalization():
    layer = layers.Normalization()
    layer.adapt(RAW)
    return around(layer), RAW, Y


def adapted_text_vectorization():
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(TEXTS)
    return around(layer, (1,), "string"), TEXTS, Y


def adapted_string_lookup():
    layer = layers.StringLookup(output_mode="one_hot")
    layer.adapt(WORDS)
    return around(layer, (1,), "string"), WORDS, Y


def adapted_integer_lookup():
    layer = layers.IntegerLookup(output_mode="multi_hot")
    layer.adapt(NUMBERS)
    return around(layer, (1,), "int64"), NUMBERS, Y


def adapted_discretization():
    layer = layers.Discretization(num_bins=4, output_mode="one_hot")
    layer.adapt(RAW[:, :1])
    return around(layer, (1,)), RAW[:, :1], Y


def adapted_feature_space():
    features = {"number": "float_normalized", "word": "string_categorical"}
    space = keras.utils.FeatureSpace(features, output_mode="concat")
    space.adapt(tf.data.Dataset.from_tensor_slices({"number": RAW[:, 0], "word": WORDS[:, 0]}).batch(20))
    return functional(space.get_inputs(), space.get_encoded_features()), {"number": RAW[:, :1], "word": WORDS}, Y


def adapted_and_nested():
    normalization, lookup = layers.Normalization(), layers.StringLookup(output_mode="one_hot")
    normalization.adapt(RAW)
    lookup.adapt(WORDS)
    number, word = keras.Input((3,), name="number"), keras.Input((1,), dtype="string", name="word")
    inner = keras.Sequential([keras.Input((3,)), normalization, layers.Dense(3)])
    text = keras.Input((1,), dtype="string")
    joined = layers.Concatenate()([inner(number), keras.Model(text, lookup(text))(word)])
    return functional({"number": number, "word": word}, joined), {"number": RAW, "word": WORDS}, Y


def batch_normalization():
    return around(layers.BatchNormalization()), X, Y


def random_augmentation():
    images = GENERATOR.normal(size=(60, 4, 4, 1)).astype("float32")
    inputs = keras.Input((4, 4, 1))
    augmented = layers.Dropout(0.3)(layers.RandomRotation(0.1)(layers.RandomFlip()(inputs)))
    return functional(inputs, layers.Flatten()(augmented)), images, Y


def several_inputs_and_outputs():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    joined = layers.Concatenate()([a, b])
    model = keras.Model([a, b], {"p": layers.Dense(1, name="p")(joined), "q": layers.Dense(2, name="q")(joined)})
    model.compile("adam", loss={"p": "mse", "q": "mae"})
    return model, [X, X[:, :2]], {"p": Y, "q": X[:, :2]}


def half_precision():
    inputs = keras.Input((3,))
    return functional(inputs, layers.Dense(4, dtype="bfloat16")(layers.Dense(4, dtype="mixed_float16")(inputs))), X, Y


def shared_layer():
    layer = layers.Dense(3, "tanh")
    return around(lambda inputs: layer(layer(inputs))), X, Y


def lambda_layer():
    return around(layers.Lambda(lambda inputs: keras.ops.abs(inputs) * FACTOR, output_shape=(3,))), X, Y


def twice(inputs):
    return keras.ops.tanh(inputs) * 2


def own_functions():
    return around(lambda inputs: layers.Lambda(twice)(layers.Dense(4, twice)(inputs))), X, Y


def recurrent():
    inputs = keras.Input(batch_shape=(20, 3, 1))
    hidden = layers.GRU(3, stateful=True)(layers.Bidirectional(layers.LSTM(2, return_sequences=True))(inputs))
    settings = {"batch_size": 20, "validation_data": (X[:20, :, None], Y[:20])}
    return functional(inputs, hidden), X[..., None], Y, settings


def low_rank():
    layer = layers.Dense(8)
    model = around(layer)
    layer.enable_lora(2)
    return model, X, Y


def quantized():
    layer = layers.Dense(8)
    model = around(layer)
    layer.quantize("int8")
    return model, X, Y


def batches():
    while True:
        for start in range(0, 60, 20):
            yield X[start : start + 20], Y[start : start + 20]


def unbuilt():
    return compiled(keras.Sequential([layers.Dense(4, "relu"), layers.Dense(1)]))


def unbuilt_and_a_generator():
    return unbuilt(), batches(), None, {"steps_per_epoch": 3, "validation_data": batches(), "validation_steps": 1}


def unbuilt_and_a_dataset():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(20)
    return unbuilt(), dataset, None, {"validation_data": dataset}


def split_off():
    return around(layers.Dense(4)), X, Y, {"validation_data": None, "validation_split": 0.25}


class Mine(keras.Model):
    def __init__(self, units=4, **settings):
        super().__init__(**settings)
        self.units = units
        self.normalization = layers.Normalization()
        self.hidden = layers.Dense(units, "relu")
        self.last = layers.Dense(1)

    def call(self, inputs):
        return self.last(self.hidden(self.normalization(inputs)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def subclass():
    model = Mine()
    model.normalization.adapt(RAW)
    return compiled(model), RAW, Y


class Bare(keras.Model):
    def __init__(self):
        super().__init__()
        self.last = layers.Dense(1)

    def call(self, inputs):
        return self.last(inputs)


def subclass_that_takes_nothing():
    return compiled(Bare()), X, Y


class Step(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def own_step():
    inputs = keras.Input((3,))
    return compiled(Step(inputs, layers.Dense(1)(inputs))), X, Y


class Table(layers.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.mean = np.zeros(3, "float32")

    def call(self, inputs):
        return inputs - self.mean

    def save_own_variables(self, store):
        store["mean"] = self.mean

    def load_own_variables(self, store):
        self.mean = np.array(store["mean"])


def own_variables():
    layer = Table()
    layer.mean = RAW.mean(axis=0)
    return around(layer), RAW, Y


class Asset(Table):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass

    def save_assets(self, folder):
        np.save(f"{folder}/mean.npy", self.mean)

    def load_assets(self, folder):
        self.mean = np.load(f"{folder}/mean.npy")


def own_assets():
    layer = Asset()
    layer.mean = RAW.mean(axis=0)
    return around(layer), RAW, Y


@keras.saving.register_keras_serializable("zoo")
class Registered(layers.Dense):
    pass


def registered_class():
    return around(Registered(4)), X, Y


def class_of_the_module_beside():
    return around(Scale(3.0)), X, Y


def fourth_power(y, predicted):
    return keras.ops.mean((y - predicted) ** 4)


class Absolute(keras.losses.Loss):
    def call(self, y, predicted):
        return keras.ops.abs(y - predicted)


class Distance(keras.metrics.MeanAbsoluteError):
    pass


def own_loss_function():
    return compiled(around(layers.Dense(4)), fourth_power, [Distance(), fourth_power]), X, Y


def own_loss_class():
    return compiled(around(layers.Dense(4)), Absolute()), X, Y


# Models that cannot be loaded, or only in part.


def loss_in_a_function():
    def huber(y, predicted):  # as one of Keras' is called, which must not be taken for it
        return keras.ops.mean((y - predicted) ** 2) * 7

    return compiled(around(layers.Dense(4)), huber), X, Y


class Noise(layers.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + 0.01 * keras.random.normal(keras.ops.shape(inputs), seed=self.generator)


def random_predictions():
    return around(Noise()), X, Y


class Forgetful(Table):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


def state_that_nothing_saves():
    layer = Forgetful()
    layer.mean = RAW.mean(axis=0)
    return around(layer), RAW, Y


class Given(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs)


def subclass_without_a_config():
    return compiled(Given(layers.Dense(1))), X, Y


def class_in_a_function():
    class Local(layers.Dense):
        pass

    return around(Local(4)), X, Y


class Adversarial(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = layers.Dense(3)
        self.mean = keras.metrics.Mean("loss")

    def compile(self, own):
        super().compile()
        self.own = own

    def build(self, shape):
        self.generator.build((None, 2))

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self.generator(tf.ones((4, 2))) ** 2)
        variables = self.generator.trainable_variables
        self.own.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def test_step(self, data):
        return {"loss": tf.reduce_mean(self.generator(tf.ones((1, 2))) ** 2)}


def adversarial():
    model = Adversarial()
    model.compile(keras.optimizers.Adam(0.01))
    model.build((None, 3))
    return model, X, Y


WHOLE = [
    plain,
    adapted_normalization,
    adapted_text_vectorization,
    adapted_string_lookup,
    adapted_discretization,
    adapted_feature_space,
    adapted_and_nested,
    batch_normalization,
    half_precision,
    lambda_layer,
    quantized,
    split_off,
    subclass,
    own_step,
    registered_class,
    class_of_the_module_beside,
    own_loss_function,
    own_loss_class,
]
RARE = [
    adapted_integer_lookup,
    random_augmentation,
    several_inputs_and_outputs,
    shared_layer,
    own_functions,
    recurrent,
    low_rank,
    unbuilt_and_a_generator,
    unbuilt_and_a_dataset,
    subclass_that_takes_nothing,
    own_variables,
    own_assets,
]
COMMON = [
    *WHOLE,
    loss_in_a_function,
    random_predictions,
    state_that_nothing_saves,
    subclass_without_a_config,
    class_in_a_function,
    adversarial,
]
KINDS = RARE if os.environ.get("ZOO") == "rare" else COMMON


def train(trial):
    kind = trial.suggest_categorical("kind", [kind.__name__ for kind in KINDS])
    model, x, y, *special = next(each for each in KINDS if each.__name__ == kind)()

    def first(data):
        return keras.tree.map_structure(lambda part: part[:20], data)

    settings = special[0] if special else {"validation_data": (first(x), first(y))}
    return sweep.fit(trial, model, x, y, epochs=2, graph=False, histograms=0, **settings)


study = sweep.Study(
    train,
    objective="val_loss",
    direction="minimize",
    trials=len(KINDS),
    sampler=f"grid(kind={[kind.__name__ for kind in KINDS]})",
    pruner="nop",
    broken="ignore",
    seed=1,
)
