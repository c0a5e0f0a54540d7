"""What a study file's `test` may return."""

import numpy as np
import pytest

from sweep.errors import StudyError
from sweep.held_out import numbers


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (0.25, {"test": 0.25}),
        (3, {"test": 3.0}),
        (np.float32(0.5), {"test": 0.5}),
        ({"mae": np.float64(0.5), "rows": 490}, {"mae": 0.5, "rows": 490.0}),
    ],
)
def test_a_number_or_numbers_by_name_are_taken(returned, expected):
    assert numbers(returned) == expected


@pytest.mark.parametrize("returned", ["much", None, float("nan"), float("inf"), {}, {"mae": "much"}, [0.5, 0.5]])
def test_anything_else_is_refused(returned):
    with pytest.raises(
        StudyError, match=r"^test\(model\) must return a finite number, or a dict of them by name, not "
    ):
        numbers(returned)
