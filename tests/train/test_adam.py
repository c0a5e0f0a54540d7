"""Adam's step with `alpha` computed once: the same bits as Keras' own, fewer operations, and only where it is known."""

import keras
import numpy as np
import pytest
from keras import optimizers

from sweep.train import adam, compiled, program_cache
from tests.train.same_as_fit import X, Y, assert_same_as_fit, dense, seeded, state

OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01),
    "adamw_amsgrad": lambda: optimizers.AdamW(0.01, amsgrad=True, weight_decay=0.1, clipnorm=0.5, use_ema=True),
    "accumulating": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "schedule": lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 20)),
}


@pytest.fixture(autouse=True)
def _empty_shelf():
    program_cache.clear()
    yield
    program_cache.clear()


def trained(name):
    program_cache.clear()
    model = seeded(lambda: dense(OPTIMIZERS[name]()))
    history = compiled.fit(model, X, Y, batch_size=8, epochs=3, shuffle=False, compiled=True).history
    (program,) = program_cache._programs.values()
    return history, state(model), program._passing.operations


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_alpha_computed_once_makes_the_same_bits_of_fewer_operations(name, monkeypatch):
    once = trained(name)
    monkeypatch.setattr(adam, "_STEPS", set())
    adam._is_known.cache_clear()
    each = trained(name)
    adam._is_known.cache_clear()
    assert once[0] == each[0]
    for one, other in zip(once[1], each[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert once[2] < each[2] or name == "accumulating"  # whose operations are in a branch


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_alpha_computed_once_trains_as_in_fit(name):
    assert_same_as_fit(lambda: dense(OPTIMIZERS[name]()), X, Y)


def test_this_keras_is_one_whose_step_is_known():
    if keras.__version__.startswith("3.15."):
        assert adam.suits(optimizers.Adam())
        assert adam.suits(optimizers.AdamW())


def test_other_optimizers_and_steps_are_left_alone():
    class Own(optimizers.Adam):
        pass

    patched = optimizers.Adam()
    patched.update_step = lambda *_: None
    for optimizer in (Own(), patched, optimizers.Nadam(), optimizers.SGD(), None, "adam"):
        assert not adam.suits(optimizer)
        with adam.alpha_once(optimizer):
            assert not adam.suits(optimizer)


def test_an_optimizer_has_its_own_step_again_after_a_trace_that_failed():
    optimizer, seen = optimizers.Adam(), []

    def trace():
        with adam.alpha_once(optimizer):
            seen.append("update_step" in vars(optimizer))
            raise KeyError

    with pytest.raises(KeyError):
        trace()
    assert seen == [True]
    assert "update_step" not in vars(optimizer)
