"""Two functions have one digest only where they are one graph, whatever TensorFlow has called their operations."""

import pytest
import tensorflow as tf

from sweep.train.graph_digest import digest

A, B = tf.Variable([1.0, 2.0]), tf.Variable([3.0, 4.0])
POSITIONS = {id(A.handle): 0, id(B.handle): 1}
SPEC = tf.TensorSpec([None], tf.float32)


def digest_of(body, spec=SPEC):
    traced = tf.function(body, autograph=False).get_concrete_function(spec)
    return digest(traced, [POSITIONS[id(taken)] for taken in traced.captured_inputs])


def loop(body, x):
    return tf.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, body(y)), (0, x), shape_invariants=None)[1]


def inner(factor):
    traced = tf.function(lambda x: x * factor, autograph=False)
    return lambda x: traced(x) + A


@tf.custom_gradient
def doubled(x):
    return 2.0 * x, lambda upstream: 2.0 * upstream


def changing(variable, x):
    variable.assign_add(x)
    return tf.tanh(x)


BODIES = {
    "plain": lambda x: tf.tanh(x * 2.0) + A,
    "another operation": lambda x: tf.sin(x * 2.0) + A,
    "another constant": lambda x: tf.tanh(x * 3.0) + A,
    "another order": lambda x: A + tf.tanh(x * 2.0),
    "another variable": lambda x: tf.tanh(x * 2.0) + B,
    "one operation more": lambda x: tf.identity(tf.tanh(x * 2.0)) + A,
    "an attribute": lambda x: tf.reduce_sum(x, axis=0, keepdims=True) + A,
    "another attribute": lambda x: tf.reduce_sum(x, axis=0, keepdims=False) + A,
    "a loop": lambda x: loop(lambda y: y * 2.0 + A, x),
    "a loop with another constant in it": lambda x: loop(lambda y: y * 3.0 + A, x),
    "a loop over another variable": lambda x: loop(lambda y: y * 2.0 + B, x),
    "a function within": lambda x: inner(2.0)(x),
    "another function within": lambda x: inner(3.0)(x),
    "a gradient of its own": lambda x: doubled(x) + A,
    "two outputs": lambda x: (tf.tanh(x), x + A),
    "two outputs, the other way round": lambda x: (x + A, tf.tanh(x)),
    "a variable that is changed": lambda x: changing(A, x),
    "another variable that is changed": lambda x: changing(B, x),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_graph_that_is_traced_again_has_the_digest_that_it_had(name):
    tf.function(lambda x: x * 5.0).get_concrete_function(SPEC)  # TensorFlow numbers what it traces by process
    assert digest_of(BODIES[name]) == digest_of(BODIES[name])


def test_no_two_different_graphs_have_one_digest():
    digests = {name: digest_of(body) for name, body in BODIES.items()}
    assert len(set(digests.values())) == len(digests)
    assert digest_of(BODIES["plain"], tf.TensorSpec([2], tf.float32)) != digests["plain"]
    assert digest_of(lambda x: tf.tanh(x * 2.0), tf.TensorSpec([None], tf.float64)) != digest_of(
        lambda x: tf.tanh(x * 2.0)
    )


def test_names_of_operations_make_no_difference():
    def named(x):
        with tf.name_scope("elsewhere"):
            return tf.add(tf.tanh(tf.multiply(x, 2.0, name="product"), name="t"), A, name="sum")

    assert digest_of(named) == digest_of(BODIES["plain"])


def test_a_function_that_is_not_part_of_the_graph_has_no_digest():
    traced = tf.function(BODIES["a function within"], autograph=False).get_concrete_function(SPEC)
    with pytest.raises(KeyError):
        digest(_WithoutLibrary(traced), [0])


class _WithoutLibrary:
    def __init__(self, function):
        self.graph = self
        self.outputs, self.control_outputs = function.graph.outputs, function.graph.control_outputs
        self._function = function

    def as_graph_def(self):
        graph = self._function.graph.as_graph_def()
        del graph.library.function[:]
        return graph
