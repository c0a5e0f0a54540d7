"""A program that one process has compiled is loaded by another, in whatever order either trains its networks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from sweep.train.trace_names import TraceNames

PROGRAM = """
import sys
import keras, numpy as np, tensorflow as tf
from sweep.train import sharing
from sweep.train.data import rows
from sweep.train.program_cache import Loan

data = rows(np.ones((64, 3), "float32"), np.ones((64, 1), "float32"), batch_size=16)
for width in map(int, sys.argv[1:]):
    keras.utils.clear_session()  # as each trial begins: layers are named anew
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    sharing.build(model, data)
    loan = Loan(model, "train_step", data.layout, shuffled=False, key=sharing.key(model))
    program = loan.program
    for _ in range(3):
        program.run(data)  # by which it is known to be short, so that no sample of it is compiled first
    program.compile(data).join()
    assert program._fast is not None
    loan.end()
"""


@pytest.mark.slow  # two processes load TensorFlow and compile
def test_the_cache_on_disk_has_one_entry_for_a_program_however_many_processes_compile_it(tmp_path):
    flags = f"--tf_xla_persistent_cache_directory={tmp_path} --tf_xla_persistent_cache_device_types=CPU,XLA_CPU_JIT"
    environment = {**os.environ, "TF_XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}

    def compile_in_order(*widths: int) -> set[tuple[str, int]]:
        command = [sys.executable, "-c", PROGRAM, *map(str, widths)]
        subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True)
        return {(entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()}

    entries = compile_in_order(4, 8)
    assert len(entries) == 2
    assert compile_in_order(8, 4) == entries


def test_the_numbers_are_those_of_the_place_and_never_given_twice():
    def names(place: str) -> list[int]:
        with TraceNames(place).given():
            return [ops.uid() for _ in range(3)]

    first = names("a")
    assert first == list(range(first[0], first[0] + 3))
    assert not {*first} & {*names("a"), *names("b")}


def test_tensorflow_numbers_as_before_when_a_trace_fails():
    before = ops.uid
    with pytest.raises(ZeroDivisionError), TraceNames("fails").given():
        tf.function(lambda: 1 / 0, autograph=False).get_concrete_function()
    assert ops.uid is before
