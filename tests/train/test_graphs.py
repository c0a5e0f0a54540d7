"""A model in TensorBoard: names of weights that stay from trial to trial, and graphs that it can draw."""

import keras
import numpy as np
import pytest
from keras import layers
from tensorboard.compat.proto.graph_pb2 import GraphDef

from sweep.tensorboard.event_files import RunWriter, read
from sweep.train import graphs
from sweep.train.graphs import weight_tags
from tests.tensorboard_server import LOADERS, tensorboard


class Block(layers.Layer):
    """A layer made of layers, with a weight that has no name."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(3), layers.Dense(3)
        self.scale = self.add_weight(shape=(3,))

    def call(self, inputs):
        return self.second(self.first(inputs)) * self.scale


class Subclassed(keras.Model):
    """A model whose layers Keras does not know beforehand."""

    def __init__(self):
        super().__init__()
        self.blocks, self.out = [Block(), Block()], layers.Dense(1)

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.out(inputs)


class Untraceable(Subclassed):
    """A model that can only be called eagerly."""

    def call(self, inputs):
        return super().call(inputs + float(np.asarray(inputs)[0, 0]))


def sequential():
    return keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dense(1)])


def functional():
    """Two inputs and outputs, a nested model, and operations with numbers."""
    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    joined = layers.Concatenate()([first, sequential()(second)])
    hidden = keras.ops.relu(layers.Dense(4, name="block_2")(joined)) * 2
    return keras.Model([first, second], [layers.Dense(1)(hidden), layers.Dense(1)(hidden)], name="dnn")


def recurrent():
    inputs = keras.Input((5, 2))
    return keras.Model(inputs, layers.Dense(1)(layers.Bidirectional(layers.GRU(3))(inputs)))


def subclassed(kind=Subclassed):
    model = kind()
    model(np.ones((1, 3), np.float32))
    return model


TAGS = {
    sequential: ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"],
    functional: [
        *["sequential/dense/kernel", "sequential/dense/bias", "sequential/dense_1/kernel", "sequential/dense_1/bias"],
        *["block_2/kernel", "block_2/bias", "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"],
    ],
    recurrent: [
        *(f"bidirectional/forward_gru/gru_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")),
        *(f"bidirectional/backward_gru/gru_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")),
        *["dense/kernel", "dense/bias"],
    ],
    subclassed: [
        f"{block}{weight}"
        for block in ("block/", "block_1/")
        for weight in ("variable", "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    ]
    + ["dense/kernel", "dense/bias"],
}


@pytest.mark.parametrize("build", TAGS)
def test_the_same_architecture_has_the_same_tags_however_many_models_were_built_before(build):
    assert weight_tags(build()) == TAGS[build]
    assert weight_tags(build()) == TAGS[build]


def test_names_that_a_user_gave_stay():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="hidden_7"), layers.Dense(1, name="out_3")])
    assert weight_tags(model) == ["hidden_7/kernel", "hidden_7/bias", "out_3/kernel", "out_3/bias"]


def test_no_two_weights_have_one_tag():
    layers.Dense(1)  # takes the name "dense", so that the next one of the kind has another
    model = keras.Sequential([keras.Input((3, 2)), layers.LSTM(2, name="dense"), layers.Dense(1)])
    tags = weight_tags(model)
    assert len(set(tags)) == len(tags) == len(model.weights)


def test_values_are_the_weights_by_tag():
    model = functional()
    values = graphs.weights(model, weight_tags(model))
    assert list(values) == TAGS[functional]
    for value, weight in zip(values.values(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, weight)


@pytest.mark.parametrize("loader", LOADERS)
def test_tensorboard_draws_every_kind_of_model(tmp_path, loader):
    for build in TAGS:
        with RunWriter(tmp_path / build.__name__) as writer:
            graphs.write(writer, model := build(), np.ones((2, 3), np.float32), graphs.config(model))
    with tensorboard(tmp_path, loader) as server:
        runs = server.wait_for(lambda: server.get("data/plugin/graphs/info"), lambda runs: len(runs) == len(TAGS))
        assert {run: info["run_graph"] for run, info in runs.items()} == dict.fromkeys(runs, True)
        assert {run for run, info in runs.items() if info["tags"]} == {"sequential", "functional", "recurrent"}
        for build in TAGS:
            assert "MatMul" in server.wait_for(lambda run=build.__name__: server.graph(run), bool)
        layers_of_functional = server.graph("functional", tag="keras", conceptual="true")
        for name in ("dnn/first", "dnn/second", "dnn/block_2", "dnn/relu", "dnn/multiply"):
            assert f'name: "{name}' in layers_of_functional
        assert 'input: "dnn/block_2"' in layers_of_functional


def operations(model, directory):
    """The names of the operations in a model's graph, without what is only read."""
    with RunWriter(directory) as writer:
        graphs.write(writer, model, None, graphs.config(model))
    (graph,) = (GraphDef.FromString(event.graph_def) for event in read(directory) if event.graph_def)
    names = {node.name for node in graph.node}
    assert {name.lstrip("^").partition(":")[0] for node in graph.node for name in node.input} <= names
    assert len(names) == len(graph.node)
    return names


def test_operations_are_named_after_their_layers_as_histograms_are(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dense(2), layers.Dense(1)], name="mlp")
    products = {name for name in operations(model, tmp_path) if name.endswith("MatMul")}
    assert products == {f"mlp/{layer.name}/MatMul" for layer in model.layers}


def test_each_call_of_a_shared_layer_has_its_operations(tmp_path):
    inputs, shared = keras.Input((3,)), layers.Dense(3, name="shared")
    model = keras.Model(inputs, shared(shared(inputs)), name="twice")
    assert {"twice/shared/MatMul", "twice/shared_call_2/MatMul"} <= operations(model, tmp_path)


def test_a_model_that_cannot_be_traced_has_no_graph_and_trains_all_the_same(tmp_path, caplog):
    with RunWriter(tmp_path / "run") as writer:
        graphs.write(writer, subclassed(Untraceable), np.ones((2, 3), np.float32), None)
    assert "could not be written" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_subclassed_model_without_a_sample_has_no_graph(tmp_path, caplog):
    with RunWriter(tmp_path / "run") as writer:
        graphs.write(writer, subclassed(), None, None)
    assert caplog.text == ""


@pytest.fixture
def traces(monkeypatch):
    """The models that were traced, by their names."""
    graphs._drawn.clear()
    traced = []
    whole = graphs._name_after_layers
    monkeypatch.setattr(graphs, "_name_after_layers", lambda graph, names: traced.append(names) or whole(graph, names))
    return traced


def written(model, folder):
    """The graph of operations that is written of a model."""
    with RunWriter(folder) as writer:
        graphs.write(writer, model, np.zeros((1, 3), "float32"), graphs.config(model))
    (graph,) = [GraphDef.FromString(event.graph_def) for event in read(folder) if event.graph_def]
    return graph


def test_models_of_one_config_are_traced_once_whatever_they_are_compiled_with(tmp_path, traces):
    graphs_of = []
    for number, rate in enumerate((0.1, 0.01)):
        keras.utils.clear_session()
        model = sequential()
        model.compile(keras.optimizers.Adam(rate), "mse")
        graphs_of.append(written(model, tmp_path / str(number)))
    assert len(traces) == 1
    assert graphs_of[0] == graphs_of[1]


def test_models_that_differ_in_a_constant_have_graphs_of_their_own(tmp_path, traces):
    for number, activation in enumerate(("relu", "tanh")):
        keras.utils.clear_session()
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation=activation)])
        assert activation.title() in {node.op for node in written(model, tmp_path / str(number)).node}
    assert len(traces) == 2


def test_a_model_with_a_layer_of_the_users_own_is_traced_each_time(tmp_path, traces):
    for number in range(2):
        keras.utils.clear_session()
        inputs = keras.Input((3,))
        written(keras.Model(inputs, Block()(inputs)), tmp_path / str(number))
    assert len(traces) == 2
