"""Banks of learning curves for tests."""

import math
import random

from optuna.distributions import CategoricalDistribution, FloatDistribution

from sweep.objective import Objective
from sweep.simulate.bank import Bank, Curve

SPACE = {
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "kind": CategoricalDistribution(("mlp", "cnn")),
}


def bank_of(*curves, direction="minimize", space=SPACE):
    """A bank of these curves; a tuple is values with a state."""
    made = []
    for number, curve in enumerate(curves):
        values, state = curve if isinstance(curve, tuple) else (curve, "COMPLETE")
        params = {"rate": 10 ** (-4 * number / len(curves)), "kind": ("mlp", "cnn")[number % 2]}
        made.append(Curve(number, params, values, state))
    return Bank("toy", Objective("loss", direction), max(map(len, (curve.values for curve in made))), space, made)


def random_bank(count=30, epochs=12, seed=0):
    """Curves that fall at different rates and cross; some break off with NaN."""
    chance = random.Random(seed)
    curves = []
    for _ in range(count):
        floor, rate = chance.random(), chance.uniform(0.1, 1)
        curve = [floor + math.exp(-rate * epoch) + 0.1 * chance.random() for epoch in range(epochs)]
        if chance.random() < 0.1:
            curve[chance.randrange(epochs) :] = [math.nan]
        curves.append(curve)
    return bank_of(*curves)
