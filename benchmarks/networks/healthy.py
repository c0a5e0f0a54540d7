"""Trainings that come to something: many kinds of networks, optimizers and data, none of them broken."""

import itertools

import keras
import numpy as np

from networks.case import Case, classes, compiled, images, mlp, regression, sequences, split, words

layers, optimizers = keras.layers, keras.optimizers
EPOCHS = 10


def case(name, make, seed=0):
    return Case(name, make, epochs=EPOCHS, seed=seed)


def regressor(optimizer, hidden, loss="mse", activation="relu", seed=0, shift=0.0, **layer):
    def make():
        x, y = regression(seed=seed)
        return compiled(mlp(9, hidden, activation=activation, **layer), optimizer(), loss), split(
            x, y + np.float32(shift)
        )

    return make


def classifier(optimizer, hidden, end="softmax", count=4, seed=0):
    def make():
        x, labels = classes(count=count, seed=seed)
        if end == "binary":
            model, loss, y = mlp(16, hidden, 1, "sigmoid"), "binary_crossentropy", (labels % 2).astype("float32")
        elif end == "one-hot":
            model, loss, y = mlp(16, hidden, count, "softmax"), "categorical_crossentropy", np.eye(count)[labels]
        elif end == "logits":
            model, loss, y = (
                mlp(16, hidden, count),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                labels,
            )
        else:
            model, loss, y = mlp(16, hidden, count, "softmax"), "sparse_categorical_crossentropy", labels
        return compiled(model, optimizer(), loss, metrics=["accuracy"] if end != "logits" else None), split(x, y)

    return make


def stack(data, shape, *between, out=1, last=None, loss="mse", optimizer="adam"):
    """A Sequential of the layers that `between` makes."""

    def make():
        model = keras.Sequential(
            [keras.Input(shape), *(layer() for layer in between), layers.Dense(out, activation=last)]
        )
        return compiled(model, optimizer if isinstance(optimizer, str) else optimizer(), loss), split(*data())

    return make


def rare(rows=3000):
    """Two classes, of which one has 2 % of the rows."""
    x, _ = regression(rows=rows)
    return x, (x[:, 0] + x[:, 1] > 2.9).astype("float32")


def weak(rows=2000):
    """A target that is nearly all noise."""
    x, y = regression(rows=rows, noise=8.0)
    return x, y


def residual():
    inputs = at = keras.Input((9,))
    at = layers.Dense(32)(at)
    for _ in range(4):
        inner = layers.Dense(32, activation="relu")(layers.BatchNormalization()(at))
        at = layers.Add()([at, layers.Dense(32, kernel_initializer="zeros")(inner)])
    return compiled(keras.Model(inputs, layers.Dense(1)(at))), split(*regression())


def two_inputs():
    a, b = keras.Input((4,)), keras.Input((5,))
    at = layers.Concatenate()([layers.Dense(16, activation="relu")(a), layers.Dense(16, activation="relu")(b)])
    x, y = regression()
    data = {
        "x": [x[:1200, :4], x[:1200, 4:]],
        "y": y[:1200],
        "validation_data": ([x[1200:, :4], x[1200:, 4:]], y[1200:]),
    }
    return compiled(keras.Model([a, b], layers.Dense(1)(at))), data


def pruned_widths():
    """Half of the hidden units are cut to zero, as pruning after training leaves them."""
    model, data = regressor(lambda: optimizers.Adam(0.001), (32, 32))()
    for layer in model.layers[1:-1]:
        kernel, bias = layer.get_weights()
        kernel[:, ::2] = 0
        layer.set_weights([kernel, bias])
    return model, data


def frozen_average():
    """Three channels of one average, which are not trained."""
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(3, 3, kernel_initializer=keras.initializers.Constant(1 / 9), trainable=False),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return compiled(model, optimizers.Adam(0.001), "sparse_categorical_crossentropy"), split(*images())


def warmed_up():
    rate = optimizers.schedules.CosineDecay(0.0, 300, warmup_target=0.003, warmup_steps=100)
    return compiled(mlp(9), optimizers.Adam(rate)), split(*regression())


ADAM = lambda rate: lambda: optimizers.Adam(rate)  # noqa: E731
SGD = lambda rate, **more: lambda: optimizers.SGD(rate, **more)  # noqa: E731
OPTIMIZERS = {
    "adam 1e-4": ADAM(1e-4),
    "adam 1e-3": ADAM(1e-3),
    "adam 1e-2": ADAM(1e-2),
    "sgd 1e-3": SGD(1e-3),
    "sgd 1e-2": SGD(1e-2),
    "sgd 1e-2, momentum": SGD(1e-2, momentum=0.9),
    "rmsprop 1e-3": lambda: optimizers.RMSprop(1e-3),
    "adamw 1e-3": lambda: optimizers.AdamW(1e-3),
    "nadam 1e-3": lambda: optimizers.Nadam(1e-3),
    "adagrad 1e-2": lambda: optimizers.Adagrad(1e-2),
    "lion 1e-4": lambda: optimizers.Lion(1e-4),
}
HIDDEN = {"mlp": (32,), "narrow": (4, 4), "dnn": (32, 32, 32, 32, 16)}
CONV = (lambda: layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D, layers.Flatten)
BATCH_NORM = (lambda: layers.Dense(32), layers.BatchNormalization, layers.ReLU)

HEALTHY = [
    *(
        case(f"regression, {net}, {of}", regressor(OPTIMIZERS[of], HIDDEN[net]))
        for net, of in itertools.product(HIDDEN, OPTIMIZERS)
    ),
    *(
        case(
            f"regression, dnn, mae, adam 1e-3, data {seed}",
            regressor(ADAM(1e-3), HIDDEN["dnn"], "mae", seed=seed),
            seed,
        )
        for seed in range(6)
    ),
    *(
        case(f"regression, mlp, huber, sgd 1e-2, data {seed}", regressor(SGD(1e-2), (32,), "huber", seed=seed), seed)
        for seed in range(3)
    ),
    *(
        case(f"regression, {activation}", regressor(ADAM(1e-3), (32, 32), activation=activation))
        for activation in ("tanh", "sigmoid", "elu", "selu", "gelu", "silu", "leaky_relu", "softplus")
    ),
    *(
        case(f"regression, {kind} kernels", regressor(ADAM(1e-3), (32, 32), kernel_initializer=kind))
        for kind in ("he_normal", "lecun_uniform", "orthogonal", "random_normal")
    ),
    *(
        case(
            f"regression, l2 {weight:g}",
            regressor(ADAM(1e-3), (32, 32), kernel_regularizer=keras.regularizers.L2(weight)),
        )
        for weight in (1e-4, 1e-2)
    ),
    case("regression, l1 1e-3", regressor(ADAM(1e-3), (32, 32), kernel_regularizer=keras.regularizers.L1(1e-3))),
    case("regression, targets around 10", regressor(ADAM(1e-3), (32, 32), shift=10.0)),
    case("regression, linear", regressor(ADAM(1e-2), ())),
    *(
        case(f"classes, {end}, {of}", classifier(OPTIMIZERS[of], (32, 32), end))
        for end in ("softmax", "one-hot", "logits", "binary")
        for of in ("adam 1e-4", "adam 1e-3", "sgd 1e-2", "sgd 1e-2, momentum", "rmsprop 1e-3")
    ),
    *(case(f"classes, softmax of {count}", classifier(ADAM(1e-3), (32,), count=count)) for count in (2, 10, 40)),
    *(case(f"logistic regression of {count}", classifier(SGD(0.05), (), count=count)) for count in (2, 6)),
    *(
        case(
            f"images, CNN, {of}",
            stack(
                images,
                (12, 12, 1),
                *CONV,
                out=3,
                last="softmax",
                loss="sparse_categorical_crossentropy",
                optimizer=OPTIMIZERS[of],
            ),
        )
        for of in ("adam 1e-4", "adam 1e-3", "sgd 1e-2", "sgd 1e-2, momentum", "rmsprop 1e-3")
    ),
    case(
        "images, CNN, batch norm",
        stack(
            images,
            (12, 12, 1),
            lambda: layers.Conv2D(8, 3),
            layers.BatchNormalization,
            layers.ReLU,
            layers.GlobalAveragePooling2D,
            out=3,
            last="softmax",
            loss="sparse_categorical_crossentropy",
        ),
    ),
    case(
        "images, depthwise",
        stack(
            images,
            (12, 12, 1),
            lambda: layers.SeparableConv2D(8, 3, activation="relu"),
            layers.Flatten,
            out=3,
            last="softmax",
            loss="sparse_categorical_crossentropy",
        ),
    ),
    *(
        case(f"sequences, {cell.__name__}", stack(sequences, (12, 2), lambda cell=cell: cell(8), optimizer=ADAM(3e-3)))
        for cell in (layers.LSTM, layers.GRU, layers.SimpleRNN)
    ),
    case("sequences, bidirectional LSTM", stack(sequences, (12, 2), lambda: layers.Bidirectional(layers.LSTM(8)))),
    case(
        "sequences, Conv1D",
        stack(sequences, (12, 2), lambda: layers.Conv1D(8, 3, activation="relu"), layers.GlobalAveragePooling1D),
    ),
    case(
        "words, embedding",
        stack(
            words,
            (10,),
            lambda: layers.Embedding(50, 8),
            layers.GlobalAveragePooling1D,
            last="sigmoid",
            loss="binary_crossentropy",
        ),
    ),
    case(
        "words, embedding, LSTM, masked",
        stack(
            words,
            (10,),
            lambda: layers.Embedding(50, 8, mask_zero=True),
            lambda: layers.LSTM(8),
            last="sigmoid",
            loss="binary_crossentropy",
        ),
    ),
    *(
        case(
            f"regression, dropout {rate}",
            stack(
                regression,
                (9,),
                lambda: layers.Dense(64, activation="relu"),
                lambda rate=rate: layers.Dropout(rate),
                lambda: layers.Dense(32, activation="relu"),
            ),
        )
        for rate in (0.2, 0.5, 0.8)
    ),
    *(
        case(
            f"regression, batch norm, {of}", stack(regression, (9,), *BATCH_NORM, *BATCH_NORM, optimizer=OPTIMIZERS[of])
        )
        for of in ("adam 1e-3", "adam 1e-2", "sgd 1e-2")
    ),
    case(
        "regression, layer norm",
        stack(regression, (9,), lambda: layers.Dense(32, activation="relu"), layers.LayerNormalization),
    ),
    case(
        "rare class",
        stack(rare, (9,), lambda: layers.Dense(16, activation="relu"), last="sigmoid", loss="binary_crossentropy"),
    ),
    case(
        "rare class, sgd",
        stack(
            rare,
            (9,),
            lambda: layers.Dense(16, activation="relu"),
            last="sigmoid",
            loss="binary_crossentropy",
            optimizer=SGD(1e-3),
        ),
    ),
    case("weak signal", stack(weak, (9,), lambda: layers.Dense(16, activation="relu"))),
    case("weak signal, sgd", stack(weak, (9,), lambda: layers.Dense(16, activation="relu"), optimizer=SGD(1e-3))),
    case("residual, zero kernels at the ends of its branches", residual),
    case("two inputs", two_inputs),
    case("units cut to zero", pruned_widths),
    case("a frozen layer that averages", frozen_average),
    case("learning rate warmed up from 0", warmed_up),
]
