"""A pruner that has no rule here: a class of the user's own, or one of Optuna's that is named by its module.

`sweep.control.pruning` asks it.
"""

from dataclasses import dataclass

from sweep.core.pruners.rule import Rule


@dataclass(frozen=True)
class Own(Rule):
    """Decides by itself, and says nothing but that it did.

    Attributes:
        spec: how it is written, such as `mypackage.pruners:Mine(x=1)`.
    """

    name = "own"

    spec: str
