"""Small networks and data for tests that train with Keras."""

from typing import Any

import keras
import numpy as np

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(60, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
VALIDATION = (X[:20], Y[:20])


def network(units: int = 4, *, rate: float = 0.01, name: str | None = "mlp") -> keras.Model:
    """A small compiled regressor."""
    layers = [keras.Input((3,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers, name=name) if name else keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
    return model


class Line(keras.Model):
    """A subclass that says no configuration, and is built by its first call."""

    def __init__(self) -> None:
        super().__init__(name="line")
        self.dense = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


class Gan(keras.Model):
    """Two networks with an optimizer each; its own `train_step` says how far the generated are from the real."""

    def __init__(self) -> None:
        super().__init__(name="gan")
        self.generator = keras.layers.Dense(1)
        self.judge = keras.layers.Dense(1)
        self.generator.build((None, 3))
        self.judge.build((None, 1))

    def compile(self, g_optimizer: Any, d_optimizer: Any) -> None:
        super().compile()
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer

    def call(self, inputs: Any) -> Any:
        return self.generator(inputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        noise, real = data
        with tf.GradientTape(persistent=True) as tape:
            made = self.generator(noise)
            fooled = tf.reduce_mean(tf.square(self.judge(made) - 1.0))
            caught = tf.reduce_mean(tf.square(self.judge(real) - 1.0)) + tf.reduce_mean(tf.square(self.judge(made)))
        for optimizer, layer, loss in (
            (self.g_optimizer, self.generator, fooled),
            (self.d_optimizer, self.judge, caught),
        ):
            variables = layer.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"distance": tf.reduce_mean(tf.square(self.generator(noise) - real)), "g_loss": fooled, "d_loss": caught}
