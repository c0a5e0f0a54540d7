"""Networks that cannot come to anything, each broken in one way."""

import keras
import numpy as np

from networks.case import Case, classes, compiled, images, mlp, regression, sequences, split, words

CHAPTER = (32, 32, 32, 32, 16)  # the hidden layers of the tutorial's dnn
Constant, Adam, SGD = keras.initializers.Constant, keras.optimizers.Adam, keras.optimizers.SGD


def of_regression(optimizer="adam", loss="mse", hidden=CHAPTER, inputs=1.0, targets=1.0, change=None, **layer):
    """The chapter's kind of network on a regression, with data scaled and weights changed."""

    def make():
        x, y = regression()
        model = compiled(mlp(9, hidden, **layer), _anew(optimizer), loss)
        if change is not None:
            change(model)
        return model, split(x * np.float32(inputs), y * np.float32(targets))

    return make


def _anew(optimizer):
    return optimizer if isinstance(optimizer, str) else optimizer.from_config(optimizer.get_config())


def of_classes(loss, last, out=4, optimizer="adam", targets=lambda labels: labels, **layer):
    """A network on four classes, with another end."""

    def make():
        x, labels = classes()
        return compiled(mlp(16, (32, 32), out, last, **layer), _anew(optimizer), loss), split(x, targets(labels))

    return make


def copied_columns(model):
    """Every unit of each hidden layer is a copy of the layer's first."""
    for layer in model.layers[1:]:
        kernel, bias = layer.get_weights()
        layer.set_weights([np.repeat(kernel[:, :1], kernel.shape[1], axis=1), bias])


def tiled(model):
    """Half of the units of the first hidden layer are copies of the other half, with what leaves them."""
    first, second = model.layers[1:3]
    kernel, bias = first.get_weights()
    first.set_weights([np.tile(kernel[:, :16], (1, 2)), bias])
    kernel, bias = second.get_weights()
    second.set_weights([np.tile(kernel[:16], (2, 1)), bias])


def negative_biases(value):
    def change(model):
        for layer in model.layers[1:-1]:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, np.full_like(bias, value)])

    return change


def one_dead_layer(model):
    kernel, bias = model.layers[3].get_weights()
    model.layers[3].set_weights([-np.abs(kernel), bias - 5])


def shuffled_labels():
    x, y = regression(rows=4000)
    return compiled(mlp(9, (16,)), Adam(0.003)), split(x, np.random.default_rng(1).permutation(y))


def shuffled_classes():
    x, labels = classes(rows=4000)
    y = np.random.default_rng(1).permutation(labels)
    return compiled(mlp(16, (8,), 4, "softmax"), Adam(0.003), "sparse_categorical_crossentropy"), split(x, y)


def leak():
    x, y = regression()
    data = split(x, y)
    seen = np.arange(len(data["validation_data"][1])) % 2 == 0
    for whole, part in zip((data["x"], data["y"]), data["validation_data"], strict=True):
        part[seen] = whole[: seen.sum()]
    return compiled(mlp(9)), data


def much_too_large():
    x, y = regression(rows=130, noise=1.5)
    return compiled(mlp(9, (256, 256)), Adam(0.003)), split(x, y)


def missing(where):
    def make():
        data = split(*regression())
        data[where] = data[where].copy()
        data[where][7] = np.nan
        return compiled(mlp(9)), data

    return make


def constant_cnn():
    layers = keras.layers
    made = {"kernel_initializer": Constant(0.05)}
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(8, 3, activation="relu", **made),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu", **made),
            layers.Dense(3, activation="softmax"),
        ]
    )
    # All that leaves a layer must be alike as well, or its units part.
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([np.repeat(kernel[:1], len(kernel), axis=0), bias])
    return compiled(model, loss="sparse_categorical_crossentropy"), split(*images())


def constant_lstm():
    made = {"kernel_initializer": Constant(0.1), "recurrent_initializer": Constant(0.1)}
    model = keras.Sequential(
        [keras.Input((12, 2)), keras.layers.LSTM(8, **made), keras.layers.Dense(1, kernel_initializer="ones")]
    )
    return compiled(model), split(*sequences())


def pixels_of_255():
    x, labels = images()
    model = keras.Sequential(
        [keras.Input((12, 12, 1)), keras.layers.Flatten(), keras.layers.Dense(32, activation="relu")]
    )
    model.add(keras.layers.Dense(3, activation="softmax"))
    return compiled(model, loss="sparse_categorical_crossentropy"), split(x * 255, labels)


def frozen_words():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Embedding(50, 8), keras.layers.GlobalAveragePooling1D()])
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    return compiled(model, SGD(1e-9), "binary_crossentropy"), split(*words())


ZERO = {"kernel_initializer": "zeros", "bias_initializer": "ones"}

BROKEN = [
    Case("kernels 0, biases 1 (the chapter's)", of_regression(**ZERO), ("symmetric-neurons",), severe=True),
    Case("kernels 0, biases 0", of_regression(kernel_initializer="zeros"), ("symmetric-neurons",), severe=True),
    Case("kernels 0.1", of_regression(kernel_initializer=Constant(0.1)), ("symmetric-neurons",), severe=True),
    Case("kernels 1, SGD", of_regression(SGD(1e-4), kernel_initializer="ones"), ("symmetric-neurons",), severe=True),
    Case(
        "kernels -0.2, tanh",
        of_regression(kernel_initializer=Constant(-0.2), activation="tanh"),
        ("symmetric-neurons",),
        severe=True,
    ),
    Case("every unit a copy of the first", of_regression(change=copied_columns), ("symmetric-neurons",), severe=True),
    Case("half the units copies", of_regression(change=tiled), ("symmetric-neurons",)),
    Case("constant kernels in a CNN", constant_cnn, ("symmetric-neurons",), severe=True),
    Case("constant kernels in an LSTM", constant_lstm, ("symmetric-neurons",), severe=True),
    Case("biases -100", of_regression(change=negative_biases(-100)), ("dead-relu",), severe=True),
    Case("biases -10", of_regression(change=negative_biases(-10)), ("dead-relu",), severe=True),
    Case("one dead layer", of_regression(change=one_dead_layer), ("dead-relu",), severe=True),
    Case("twenty sigmoid layers", of_regression(hidden=(32,) * 20, activation="sigmoid"), ("stuck-loss",), severe=True),
    Case(
        "twenty sigmoid layers: why", of_regression(hidden=(32,) * 20, activation="sigmoid"), ("vanishing-gradients",)
    ),
    Case("learning rate 10, Adam", of_regression(Adam(10.0)), ("learning-rate-too-high", "not-a-number")),
    Case("learning rate 10, SGD", of_regression(SGD(10.0)), ("not-a-number", "dead-relu"), severe=True),
    Case(
        "learning rate 1, Adam, classes",
        of_classes("sparse_categorical_crossentropy", "softmax", optimizer=Adam(1.0)),
        ("learning-rate-too-high",),
    ),
    Case("learning rate 1e-9, Adam", of_regression(Adam(1e-9)), ("stuck-loss",), severe=True),
    Case("learning rate 1e-9: why", of_regression(Adam(1e-9)), ("learning-rate-too-low",)),
    Case("learning rate 1e-9, SGD, words", frozen_words, ("stuck-loss",), severe=True),
    Case(
        "learning rate 1e-9, SGD, classes",
        of_classes("sparse_categorical_crossentropy", "softmax", optimizer=SGD(1e-9)),
        ("stuck-loss",),
        severe=True,
    ),
    Case("inputs times 1e6", of_regression(inputs=1e6), ("unscaled-inputs",)),
    Case("pixels from 0 to 255", pixels_of_255, ("unscaled-inputs",)),
    Case("targets times 1e6", of_regression(targets=1e6), ("unscaled-targets",)),
    Case("targets times 1e6: stuck", of_regression(targets=1e6), ("stuck-loss",), severe=True),
    Case("shuffled targets", shuffled_labels, ("worse-than-constant", "underfitting"), epochs=10),
    Case("shuffled classes", shuffled_classes, ("worse-than-constant", "underfitting"), epochs=10),
    Case(
        "a sigmoid for targets beyond 1",
        lambda: (compiled(mlp(9, last="sigmoid")), split(*regression())),
        ("unfit-output",),
    ),
    Case(
        "a tanh for targets beyond 1", lambda: (compiled(mlp(9, last="tanh")), split(*regression())), ("unfit-output",)
    ),
    Case(
        "a relu for negative targets", lambda: (compiled(mlp(9, last="relu")), split(*regression())), ("unfit-output",)
    ),
    Case(
        "softmax of one unit",
        of_classes("binary_crossentropy", "softmax", 1, targets=lambda labels: labels % 2),
        ("unfit-output",),
    ),
    Case(
        "softmax of one unit, mse",
        of_classes("mse", "softmax", 1, targets=lambda labels: labels % 2),
        ("stuck-loss",),
        severe=True,
    ),
    Case("logits for probabilities", of_classes("sparse_categorical_crossentropy", None), ("unfit-output",)),
    Case(
        "probabilities for logits",
        of_classes(keras.losses.SparseCategoricalCrossentropy(from_logits=True), "softmax"),
        ("unfit-output",),
    ),
    Case("sigmoid for four classes", of_classes("sparse_categorical_crossentropy", "sigmoid"), ("unfit-output",)),
    Case("half the validation rows are training rows", leak, ("data-leak",)),
    Case("NaN in one row of the inputs", missing("x"), ("missing-data",)),
    Case("NaN in one target", missing("y"), ("not-a-number",), severe=True),
    Case("a hundred times too large for 100 rows", much_too_large, ("overfitting",), epochs=25),
]
