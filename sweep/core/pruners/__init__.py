"""The rules that prune runs, one file each. A file in this folder with `RULES` in it adds its rules.

A rule has settings, judges runs and explains its verdicts: see `rule.py`. A verdict is stored with its run as numbers
(`verdict.py`), so base modules import this package, and it imports none of them but `objective` and `words`.
"""

import importlib
import pkgutil

from sweep.core.pruners.rule import Judge, Rule
from sweep.core.pruners.verdict import Verdict

__all__ = ["RULES", "Judge", "Rule", "Verdict", "sentence"]


def find_rules() -> dict[str, type[Rule]]:
    """The rules that this folder has, by name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    rules = [rule for module in modules for rule in getattr(module, "RULES", ())]
    return {rule.name: rule for rule in sorted(rules, key=lambda rule: rule.name)}


RULES = find_rules()
"""Every rule by its name."""


def sentence(verdict: Verdict) -> str:
    """What a verdict says, in one line that a person can check, such as `median: val_loss 0.812 at epoch 2 is above
    0.640, the median of 3 runs at that epoch`."""
    said = f"{verdict.rule}: {RULES.get(verdict.rule, Rule).sentence(verdict)}"
    because = verdict.details.get("because")  # the verdict of a rule within this one
    return said if because is None else f"{said}; {sentence(Verdict.from_dict(because))}"
