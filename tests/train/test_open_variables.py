"""Variables with an open shape: to Python they are Keras' own, to TensorFlow's runtime all of a rank are alike."""

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow.core import Variable

from sweep.train import open_variables


@pytest.fixture(autouse=True)
def _open(monkeypatch):
    monkeypatch.setattr(Variable, "_initialize", Variable._initialize)  # which is put back
    open_variables.install()
    yield
    keras.utils.clear_session()


def test_keras_variables_are_made_open():
    kernel = keras.layers.Dense(3)
    kernel.build((None, 4))
    assert open_variables.copied(kernel.kernel)._is_open
    assert kernel.kernel.value._is_open
    assert not hasattr(keras.Variable(1.0).value, "_is_open")  # there is no shape to be open


def test_python_and_every_trace_see_the_shape():
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    variable = layer.kernel.value
    assert tuple(layer.kernel.shape) == tuple(variable.shape) == (4, 3)
    seen = []
    tf.function(lambda: seen.append(variable.read_value().shape), autograph=False).get_concrete_function()
    assert [tuple(shape) for shape in seen] == [(4, 3)]


def test_variables_of_a_strategy_of_a_trace_or_of_fewer_bits_are_made_as_ever():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Muon(), "mse")  # which asks for shapes as its variables are made, in a trace
    model.fit(np.zeros((8, 6)), np.zeros((8, 1)), epochs=1, verbose=0)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = keras.layers.Dense(5)
        layer.build((None, 6))
    finally:
        keras.config.set_dtype_policy("float32")
    assert not hasattr(layer.kernel.value, "_is_open")


def test_values_of_another_shape_are_refused_as_ever():
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="shape"):
        layer.kernel.assign(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="shape"):
        layer.kernel.value.assign(np.zeros((4, 2), "float32"))


def test_a_copy_has_the_value_and_a_life_of_its_own():
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    before = layer.kernel.numpy()
    copy = open_variables.copied(layer.kernel)
    layer.kernel.assign(np.ones((4, 3)))
    np.testing.assert_array_equal(copy.numpy(), before)
    assert not hasattr(open_variables.copied(tf.Variable([1.0])), "_is_open")


def test_models_train_save_and_load_as_ever(tmp_path):
    def trained():
        keras.utils.clear_session()
        keras.utils.set_random_seed(5)
        layers = [keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.BatchNormalization()]
        model = keras.Sequential([*layers, keras.layers.Dense(1)])
        model.compile("adam", "mse")
        x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
        model.fit(x, x[:, :1], epochs=2, verbose=0, shuffle=False)
        return model, model.predict(x, verbose=0)

    model, predicted = trained()
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").predict(x, verbose=0), predicted)
    model.save_weights(tmp_path / "model.weights.h5")
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.serve(x), predicted, rtol=1e-6)
    checkpoint = tf.train.Checkpoint(model=model)
    path = checkpoint.save(str(tmp_path / "checkpoint"))
    model.layers[0].kernel.assign(np.zeros((4, 6)))
    checkpoint.restore(path)
    np.testing.assert_array_equal(model.predict(x, verbose=0), predicted)


def test_another_keras_is_left_alone(monkeypatch):
    def other(self, value):
        raise NotImplementedError

    monkeypatch.setattr(Variable, "_initialize", other)
    open_variables.install()
    assert Variable._initialize is other


def test_a_program_is_made_ready_once_for_all_widths():
    """Counted by what Grappler logs, in a process of its own, for TensorFlow reads its log level once."""
    script = """
        import sys
        import keras, numpy as np
        from sweep.train import compiled, session
        x = np.zeros((40, 6), "float32")
        for seed, widths in enumerate(((8, 5), (11, 6), (7, 12), (13, 4), (3, 10))):
            session.begin(seed, settled=sys.argv[1] == "open")
            layers = [keras.layers.Dense(width) for width in (*widths, 1)]
            model = keras.Sequential([keras.Input((6,)), *layers])
            model.compile("sgd", "mse")
            compiled.fit(model, x, x[:, :1], batch_size=9, epochs=1, shuffle=False, compiled=True)
    """

    def optimized(which):
        environment = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "meta_optimizer=1"}
        command = [sys.executable, "-c", textwrap.dedent(script), which]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
        return done.stderr.count("Optimized ")

    assert (optimized("open"), optimized("as ever")) == (2, 2 * 5)  # the main graph and its functions
