"""Programs: bound to the variables of another model, compiled beside the training, kept on a bounded cache."""

import gc
import math
import threading
import time
import weakref

import keras
import numpy as np
import pytest
from keras import layers

from sweep.train import compiled, program_cache, programs, sharing
from sweep.train.data import rows
from sweep.train.programs import Program
from sweep.train.xla_times import Times, XlaTimes
from tests.train.same_as_fit import HELD_OUT, ROWS, X, Y, assert_same_as_fit

DATA = rows(X, Y, batch_size=8)
ORDER = np.arange(ROWS)


def _wait_for_xla():
    """Let compilations that earlier trainings began end: while one runs, no other begins."""
    for thread in threading.enumerate():
        if thread.name == "sweep-xla":
            thread.join()


@pytest.fixture(autouse=True)
def times(tmp_path, monkeypatch):
    """What this machine has measured: nothing, and what XLA may cost is not what a test waits for."""
    times = XlaTimes(tmp_path / "xla.json")
    monkeypatch.setattr(programs, "xla_times", lambda: times)
    return times


@pytest.fixture(autouse=True)
def _empty_shelf():
    _wait_for_xla()
    program_cache.clear()
    yield
    _wait_for_xla()
    program_cache.clear()
    keras.utils.clear_session()


def build(seed=7, optimizer=keras.optimizers.Adam, width=8, hidden=()):
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    inner = layers.Dense(width, activation="tanh")(inputs)
    for layer in hidden:
        inner = layer()(inner)
    model = keras.Model(inputs, layers.Dense(1)(inner))
    model.compile(optimizer=optimizer(), loss="mse", metrics=["mae"])
    return model


def program_of(model):
    sharing.build(model, DATA)
    program = Program(model, model.train_step, DATA.layout, shuffled=True).complete()
    assert program.generalize(sharing.variables(model))
    return program


def train(program, model, epochs=5):
    history = []
    for _ in range(epochs):
        model.reset_metrics()
        history.append(program.run(DATA, ORDER)["loss"])
    return history


def test_a_bound_program_trains_a_model_as_its_own_would_and_leaves_the_first_alone():
    first = build(1)
    program = program_of(first)
    before = first.get_weights()
    own, borrower = build(2), build(2)
    expected = train(program_of(own), own)
    sharing.build(borrower, DATA)
    program.bind(sharing.variables(borrower))
    assert train(program, borrower) == expected
    for one, other in zip(sharing.variables(borrower), sharing.variables(own), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    for now, then in zip(first.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_program_outlives_its_model_and_holds_no_later_one():
    first = build(1)
    gone = [weakref.ref(first)]
    program = program_of(first)
    del first
    for seed in (2, 3):
        model = build(seed)
        sharing.build(model, DATA)
        program.bind(sharing.variables(model))
        assert len(set(train(program, model))) == 5
        gone.append(weakref.ref(model))
        program.bind(())
        del model
    keras.utils.clear_session()
    gc.collect()
    assert [model() for model in gone] == [None, None, None]


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, keras.optimizers.SGD])
def test_xla_gives_what_the_graph_gives(optimizer):
    graph, fast = build(optimizer=optimizer), build(optimizer=optimizer)
    program = program_of(fast)
    before = fast.get_weights()
    program.compile(DATA).join()
    for now, then in zip(fast.get_weights(), before, strict=True):  # the compiling run worked on copies
        np.testing.assert_array_equal(now, then)
    np.testing.assert_allclose(train(program, fast), train(program_of(graph), graph), rtol=1e-5)
    for one, other in zip(sharing.variables(fast), sharing.variables(graph), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-6)


def test_epoch_callbacks_act_on_a_training_that_xla_takes_over(monkeypatch):
    monkeypatch.setattr(programs, "EXPECTED", -math.inf)  # which pays for everything
    compiling, compile = [], Program.compile
    monkeypatch.setattr(Program, "compile", lambda *arguments: compiling.append(compile(*arguments)))

    def wait_for_xla(epoch, logs):
        for thread in filter(None, compiling):
            thread.join()

    def callbacks():
        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
        stop = keras.callbacks.EarlyStopping(patience=5, min_delta=1.0, restore_best_weights=True)
        return [halve, stop, keras.callbacks.LambdaCallback(on_epoch_end=wait_for_xla)]

    arguments = {"epochs": 8, "callbacks": callbacks, "validation_data": HELD_OUT}
    ours, _ = assert_same_as_fit(build, X, Y, tolerance=1e-5, **arguments)
    assert any(compiling)
    assert ours.history.epoch[-1] == 5


def test_random_layers_draw_from_one_distribution_in_graph_and_xla():
    def losses(compiling):
        model = build(optimizer=lambda: keras.optimizers.SGD(0.0), hidden=[lambda: layers.Dropout(0.5)])
        program = program_of(model)
        if compiling:
            program.compile(DATA).join()
        return np.array(train(program, model, epochs=150))

    graph, fast = losses(False), losses(True)
    assert len(set(fast)) > 100
    error = np.hypot(graph.std(), fast.std()) / np.sqrt(150)
    assert abs(graph.mean() - fast.mean()) < 4 * error
    assert 0.7 < fast.std() / graph.std() < 1.4


def test_a_second_program_waits_while_one_compiles():
    one, other = program_of(build(1)), program_of(build(2, width=9))
    thread = one.compile(DATA)
    assert other.compile(DATA) is None
    thread.join()
    other.compile(DATA).join()


def test_a_program_that_xla_refuses_stays_a_graph(monkeypatch):
    model = build()
    program = program_of(model)
    monkeypatch.setattr(program._passing, "_logs_of", lambda *_: keras.ops.qr(keras.ops.ones((2,)), mode="none"))
    with pytest.raises(ValueError, match="mode"):
        program.compile(DATA)
    assert len(set(train(program, model))) == 5


def times_of(program, graph, xla):
    """Have the program's next runs take so many seconds."""
    for version, seconds in ((program._graph, graph), (program._fast, xla)):
        if version is not None:
            version.run = lambda arguments, version=version, seconds=seconds: ran(version, seconds)


def ran(version, seconds):
    version.runs, version.last_run, version.last_seconds = version.runs + 1, time.perf_counter(), seconds
    version.seconds = min(version.seconds, seconds)
    return {"loss": 0.0}


def started_by(program, monkeypatch):
    started = []
    monkeypatch.setattr(program, "compile", started.append)
    return started


def test_compiling_is_weighed_against_the_passes_to_come(monkeypatch, times):
    program = program_of(build())
    started = started_by(program, monkeypatch)
    program.speed_up(DATA, 10**9)
    assert not started, "a program that has not run has no time"
    times_of(program, graph=0.01, xla=None)
    program.run(DATA, ORDER), program.run(DATA, ORDER)
    pays = program._passing.operations * times.seconds_per_operation() / (0.01 * (1 - programs.EXPECTED))
    program.speed_up(DATA, math.floor(pays))
    assert not started
    program.speed_up(DATA, math.ceil(pays))
    assert len(started) == 1


def test_a_program_that_recurs_counts_the_passes_of_earlier_trainings(monkeypatch, times):
    program = program_of(build())
    started = started_by(program, monkeypatch)
    times_of(program, graph=0.01, xla=None)
    pays = program._passing.operations * times.seconds_per_operation() / (0.01 * (1 - programs.EXPECTED))
    for _ in range(math.ceil(pays)):
        program.run(DATA, ORDER)
    program.speed_up(DATA, 1)
    assert not started, "passes that are over pay for nothing in a training that is alone"
    sharing.build(again := build(2), DATA)
    program.bind(sharing.variables(again))
    program.speed_up(DATA, 1)
    assert len(started) == 1


def test_a_step_that_draws_random_numbers_is_expected_to_gain_little(monkeypatch, times):
    program = program_of(build(hidden=[lambda: layers.Dropout(0.3)]))
    started = started_by(program, monkeypatch)
    times_of(program, graph=0.01, xla=None)
    program.run(DATA, ORDER), program.run(DATA, ORDER)
    saved = 0.01 * (1 - programs.EXPECTED_IF_RANDOM)
    pays = program._passing.operations * times.seconds_per_operation() / saved
    program.speed_up(DATA, math.floor(pays))
    assert not started
    program.speed_up(DATA, math.ceil(pays))
    assert len(started) == 1


def placed(model, place="there"):
    """A program of a place that all processes know."""
    sharing.build(model, DATA)
    program = Program(model, model.train_step, DATA.layout, shuffled=True, place=place).complete()
    assert program.generalize(sharing.variables(model))
    return program


def test_what_was_measured_on_this_machine_decides(monkeypatch, times):
    times.note("there", Times(graph=0.01, xla=0.02, compiling=1.0, operations=100))
    slower = placed(build())
    started = started_by(slower, monkeypatch)
    times_of(slower, graph=0.01, xla=None)
    slower.run(DATA, ORDER), slower.run(DATA, ORDER)
    slower.speed_up(DATA, 10**9)
    assert not started
    assert "by XLA 20 ms" in slower.way()
    times.note("there", Times(graph=0.01, xla=0.009, compiling=1.0, operations=100))
    faster = placed(build())
    started = started_by(faster, monkeypatch)
    times_of(faster, graph=0.01, xla=None)
    faster.run(DATA, ORDER), faster.run(DATA, ORDER)
    pays = 1000 / (1 + programs.RECURRING)  # it saves a millisecond a pass, and takes a second to compile
    faster.speed_up(DATA, math.floor(pays))
    assert not started
    faster.speed_up(DATA, math.ceil(pays))
    assert len(started) == 1


@pytest.mark.parametrize("xla", [0.005, 0.02])
def test_the_faster_one_stays_and_is_remembered(xla, times):
    program = placed(build())
    program.run(DATA, ORDER)
    program.compile(DATA).join()
    graph, fast = program._graph, program._fast
    times_of(program, graph=0.01, xla=xla)
    for _ in range(8):
        program.run(DATA, ORDER)
    runs = (graph.runs - 1, fast.runs)
    assert runs == ((1, 7) if xla < 0.01 else (6, 2))
    assert (program._fast is None) == (xla > 0.01)
    found = times.find("there")
    assert (found.graph, found.xla, found.faster) == (0.01, xla, xla < 0.01)
    assert found.compiling > 0
    assert found.operations == program._passing.operations
    assert ("compiled by XLA" in program.way()) == (xla < 0.01)


def test_a_long_pass_is_tried_with_a_few_batches_first(monkeypatch, times):
    monkeypatch.setattr(programs, "LONG_PASS", 0.0)
    counts, run_once = [], Program._run_once
    monkeypatch.setattr(Program, "_run_once", lambda *given: counts.append(given[-1]) or run_once(*given))
    slower = placed(build())
    slower.run(DATA, ORDER)
    slower._graph.seconds = 1e-9
    slower.compile(DATA).join()
    assert counts == [16] * 3
    assert slower._fast is None
    assert not times.find("there").faster
    counts.clear()
    faster = placed(build(), "elsewhere")
    faster.run(DATA, ORDER)
    faster._graph.seconds = 1e9
    faster.compile(DATA).join()
    assert counts == [16] * 3 + [ROWS]
    assert faster._fast is not None


# The cache


def fit(model, **arguments):
    return compiled.fit(model, X, Y, **{"batch_size": 8, "epochs": 2, "shuffle": False, "compiled": True} | arguments)


def test_trainings_of_one_key_share_their_programs_and_others_do_not():
    fit(build(1), validation_data=HELD_OUT)
    assert len(program_cache._programs) == 2
    shared = set(map(id, program_cache._programs.values()))
    fit(build(2, optimizer=lambda: keras.optimizers.Adam(0.5)), validation_data=HELD_OUT)
    assert set(map(id, program_cache._programs.values())) == shared
    for other in ({"batch_size": 9}, {"shuffle": True}, {"sample_weight": np.ones(ROWS)}):
        before = len(program_cache._programs)
        fit(build(3), **other)
        assert len(program_cache._programs) == before + 1


def test_a_borrowed_program_trains_on_the_data_it_is_given():
    fit(build(1))
    keras_data = (X[::-1].copy(), Y * 3)
    assert_same_as_fit(lambda: build(2), *keras_data, epochs=2)
    assert len(program_cache._programs) == 1


def test_the_results_do_not_depend_on_whether_a_program_was_there():
    def history(model):
        return fit(model, epochs=3, shuffle=True, validation_data=HELD_OUT).history

    hidden = [lambda: layers.Dropout(0.3), layers.BatchNormalization]
    cold = history(build(5, hidden=hidden))
    fit(build(6, hidden=hidden), shuffle=True, validation_data=HELD_OUT)
    assert history(build(5, hidden=hidden)) == cold


def test_a_training_inside_of_a_training_has_a_program_of_its_own():
    inner = []

    def train_another(epoch, logs):
        inner.append(fit(build(2)).history)

    outer = build(1)
    got = fit(outer, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=train_another)]).history
    program_cache.clear()
    assert got == fit(build(1)).history
    assert inner == [fit(build(2)).history] * 2


def test_a_program_is_given_back_by_a_training_that_was_stopped():
    def stop(epoch, logs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(build(), callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)])
    assert len(program_cache._programs) == 1


def test_the_shelf_is_bounded_and_big_models_leave_nothing_on_it(monkeypatch):
    monkeypatch.setattr(program_cache, "MAX_PROGRAMS", 2)
    for width in (3, 4, 5):
        fit(build(width=width), epochs=1)
    assert len(program_cache._programs) == 2
    program_cache.clear()
    monkeypatch.setattr(program_cache, "MAX_STATE_BYTES", 100)
    fit(build())
    assert not program_cache._programs


def test_a_constant_changed_when_training_begins_gets_another_program():
    def change():
        callback = keras.callbacks.LambdaCallback()
        callback.on_train_begin = lambda logs: setattr(callback.model.optimizer, "beta_1", 0.1)
        return [callback]

    fit(build())
    assert_same_as_fit(build, X, Y, epochs=2, callbacks=change)
