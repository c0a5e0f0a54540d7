"""When a study has found what it is for: the texts that `--stop-when` takes.

    rule = "no better in" N "trials" | condition

`no better in 20 trials` holds when the last 20 trials that ended have brought no better value than the best before
them. A condition is one of `sweep.conditions`, in the language of `--where`, such as `val_loss < 0.05`: it holds as
soon as one run fulfils it.
"""

import re

from sweep.conditions import check_condition
from sweep.errors import FilterError

_NO_BETTER = re.compile(r"\s*no\s+better\s+in\s+([1-9][0-9]{0,8})\s+trials?\s*", re.IGNORECASE)
_ALMOST = re.compile(r"\s*no\s+better\b", re.IGNORECASE)

EXAMPLES = "'no better in 20 trials' or 'val_loss < 0.05'"


def trials_without_better(rule: str) -> int | None:
    """N of `no better in N trials`; None for a condition."""
    found = _NO_BETTER.fullmatch(rule)
    return int(found[1]) if found is not None else None


def check_rule(text: str) -> None:
    """See that a text is a rule. Which metrics and parameters there are, only the study's runs can say.

    Raises:
        FilterError: it is none.
    """
    if trials_without_better(text) is not None:
        return
    if _ALMOST.match(text):
        raise FilterError(f"Expected a number of trials: {text}", "For example: no better in 20 trials")
    check_condition(text)
