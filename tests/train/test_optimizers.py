"""Which optimizers a model has, and which of their learning rates an epoch records."""

import keras
import numpy as np
import pytest

from sweep.train.optimizers import learning_rates, optimizers

X, Y = np.zeros((8, 2), "float32"), np.zeros((8, 1), "float32")


def dense(units: int = 1) -> keras.Sequential:
    return keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(units)])


class Gan(keras.Model):
    """A model with two networks and an optimizer for each, as in Keras' own example of a GAN."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = dense(2), dense()

    def compile(self, d_optimizer: keras.optimizers.Optimizer, g_optimizer: keras.optimizers.Optimizer) -> None:
        super().compile()  # which makes an rmsprop that nothing uses
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer

    def train_step(self, data):
        import tensorflow as tf

        losses = {}
        for name in ("generator", "discriminator"):
            network, optimizer = getattr(self, name), getattr(self, f"{name[0]}_optimizer")
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(network(data[0], training=True) - 1))
            optimizer.apply_gradients(
                zip(tape.gradient(loss, network.trainable_weights), network.trainable_weights, strict=True)
            )
            losses[name[0] + "_loss"] = loss
        return losses


def test_a_compiled_model_has_one_optimizer_and_one_learning_rate():
    model = dense()
    model.compile(keras.optimizers.SGD(0.25), "mse")
    assert optimizers(model) == {"optimizer": model.optimizer}
    assert learning_rates(model) == {"learning_rate": 0.25}


def test_a_model_that_is_not_compiled_has_none():
    assert optimizers(dense()) == {}
    assert learning_rates(dense()) == {}


def test_a_gan_records_the_rates_of_its_own_optimizers_and_not_that_of_one_it_never_uses():
    model = Gan()
    model.compile(keras.optimizers.Adam(0.25), keras.optimizers.SGD(0.5))
    model.fit(X, Y, verbose=0)
    assert list(optimizers(model)) == ["optimizer", "d_optimizer", "g_optimizer"]
    assert learning_rates(model) == {"learning_rate/d_optimizer": 0.25, "learning_rate/g_optimizer": 0.5}


def test_optimizers_are_found_in_lists_dicts_nested_models_and_layers_each_once():
    class Part(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.own = keras.optimizers.SGD()

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.pair = [keras.optimizers.SGD(), keras.optimizers.SGD()]
            self.by_task = {"b": keras.optimizers.SGD(), "a": [keras.optimizers.SGD()]}
            self.part, self.critic = Part(), dense()
            self.critic.compile("sgd", "mse")
            self.again = self.pair[0]

    model = Model()
    model.compile(model.pair[1])
    assert list(optimizers(model)) == ["optimizer", "again", "by_task.b", "by_task.a.0", "critic.optimizer", "part.own"]


def test_optimizers_of_layers_in_a_functional_model_have_names_that_no_count_of_the_process_changes():
    def build() -> keras.Sequential:
        critic, other = dense(), dense(2)
        named = keras.Sequential([keras.layers.Dense(2)], name="critic")
        for part in (critic, named):
            part.compile("sgd", "mse")
        return keras.Sequential([keras.layers.Input((2,)), other, named, critic])

    assert list(optimizers(build())) == list(optimizers(build())) == ["critic.optimizer", "layers.2.optimizer"]


def test_a_scaled_optimizer_comes_with_the_one_inside_and_has_its_rate():
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.25))
    model = dense()
    model.compile(scaled, "mse")
    assert optimizers(model) == {"optimizer": scaled}
    assert learning_rates(model) == {"learning_rate": 0.25}


def test_the_rate_of_a_schedule_is_that_of_the_present_step():
    model = dense()
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)), "mse")
    model.fit(X, Y, batch_size=4, verbose=0)
    assert learning_rates(model) == {"learning_rate": pytest.approx(0.25)}
