"""studies/diabetes.py, the shortest good example."""

from pathlib import Path

import numpy as np
import pytest

from sweep.study_file import load

FILE = Path(__file__).parents[2] / "studies" / "diabetes.py"


@pytest.fixture(scope="module")
def study():
    return load(FILE)


def test_it_is_short_enough_to_be_read_at_once():
    assert len(FILE.read_text().splitlines()) < 45


def test_it_declares_thirty_trials_of_sixty_epochs(study):
    declared = study.declaration()
    assert (declared.name, declared.trials, declared.epochs) == ("diabetes", 30, 60)
    assert (declared.objective, declared.direction) == (["val_loss"], ["minimize"])


def test_its_rows_are_loaded_once_and_standardised_over_those_it_trains_on(study):
    data = study.train.__globals__["data"]
    x, y, x_val, y_val = data()
    assert data() is data()
    assert [part.shape for part in (x, y, x_val, y_val)] == [(353, 10), (353, 1), (89, 10), (89, 1)]
    assert {part.dtype for part in (x, y, x_val, y_val)} == {np.dtype("float32")}
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-5)
