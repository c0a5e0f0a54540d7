"""A model's step as a traced function, whose graph lives no longer than the function does."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from sweep.train.data import Layout, Unsuitable


def trace_step(model: keras.Model, step: Callable[[Any], Any], layout: Layout) -> Any:
    """The step traced outside of any loop, which builds all that is not built.

    Where the last batch is not full, the number of rows in a batch stays open, as in `fit`: Keras reads it off the
    shape, and only where it is fixed weighs the batches in the loss of each output by it.

    Raises:
        Unsuitable: its logs are not what `fit` could show.
    """
    batch = layout.pack(layout.signature(layout.batch if layout.count % layout.batch == 0 else None))
    traced = trace(step, batch, jit_compile=model.jit_compile)
    logs = traced.structured_outputs
    if not isinstance(logs, Mapping) or not all(isinstance(name, str) for name in logs):
        raise Unsuitable("the model's step returns no dict of logs")
    if not all(tf.TensorShape(log.shape).is_fully_defined() for log in tf.nest.flatten(logs)):
        raise Unsuitable("the model's step returns logs of unknown shape")
    return traced


def trace(step: Callable[[Any], Any], batch: Any, *, jit_compile: bool | None = None) -> Any:
    """The step as a concrete function of a batch, given as `tf.TensorSpec`s; its gradient cannot be taken."""
    graphs = []

    def noting_graphs(batch: Any) -> Any:  # where the step makes variables, TensorFlow traces it twice
        graphs.append(tf.compat.v1.get_default_graph())
        return step(batch)

    traced = tf.function(noting_graphs, autograph=False, jit_compile=jit_compile).get_concrete_function(batch)
    for graph in graphs:
        _forget_gradients(graph)
    return traced


def _forget_gradients(graph: Any) -> None:
    """Let go of the graph where TensorFlow holds it for ever: 3 MB for each network that is trained once.

    Each `tf.custom_gradient`, one of which is in every Keras optimizer's step, enters a function that holds its graph
    into a registry of the process (TensorFlow 2.21). Only a gradient through the step would ask for it; the step has
    taken its own when it was traced, and nobody takes one through it.
    """
    with contextlib.suppress(ImportError, AttributeError):  # another TensorFlow: larger, but right
        from tensorflow.python.framework.ops import gradient_registry

        for operation in graph.get_operations():
            if operation.type == "IdentityN":
                with contextlib.suppress(ValueError):  # an IdentityN with TensorFlow's own gradient
                    gradient_registry._registry.pop(operation.get_attr("_gradient_op_type").decode(), None)
