"""A hash of code: the same for the same function, another one for whatever makes it do something else."""

import functools

from sweep.code import code_hash

CELL = """
import math
SIZES = [1, 2]
def build(trial, scale=2):
    return trial * scale
class Net:
    depth = 3
    def call(self, x):
        return x
def train(trial):
    net = Net()
    return [build(trial) + size for size in SIZES] + [math.pi, net.depth]
"""


def hash_of(cell=CELL, name="train"):
    """The hash of a function of a cell."""
    space = {"__name__": "__main__"}
    exec(cell, space)
    return code_hash(space[name])


def test_the_same_cell_run_again_is_the_same_also_laid_out_otherwise_or_with_comments():
    assert hash_of() == hash_of()
    assert (
        hash_of("\n\n# a comment\n" + CELL.replace("    return trial * scale", "\n    return trial * scale"))
        == hash_of()
    )


def test_whatever_a_function_uses_of_the_users_own_makes_another_hash():
    changes = [
        ("SIZES = [1, 2]", "SIZES = [1, 3]"),
        ("scale=2", "scale=3"),
        ("trial * scale", "trial / scale"),
        ("depth = 3", "depth = 4"),
        ("return x", "return -x"),
        ("math.pi", "math.e"),
        ("for size in SIZES]", "for size in SIZES if size]"),
    ]
    hashes = {hash_of(CELL.replace(*change)) for change in changes} | {hash_of()}
    assert len(hashes) == len(changes) + 1


def test_what_a_function_does_not_use_makes_no_difference():
    assert hash_of(CELL + "\nother = 3\ndef unused(): return 1\n") == hash_of()


def test_closures_partials_methods_and_callable_objects_are_told_apart():
    def around(number):
        return lambda trial: trial + number

    class Objective:
        def __init__(self, number):
            self.number = number

        def __call__(self, trial):
            return trial + self.number

        def method(self, trial):
            return trial + self.number

    def add(trial, number):
        return trial + number

    for make in (
        around,
        Objective,
        lambda number: Objective(number).method,
        lambda number: functools.partial(add, number=number),
    ):
        assert code_hash(make(1)) == code_hash(make(1))
        assert code_hash(make(1)) != code_hash(make(2))


def test_a_function_that_calls_itself_and_one_that_holds_arrays_have_a_hash():
    assert hash_of("def train(n): return n and train(n - 1)") == hash_of("def train(n): return n and train(n - 1)")
    arrays = "import numpy\ndata = numpy.zeros(3)\ndef train(trial): return data.sum()"
    assert hash_of(arrays) == hash_of(arrays)
