"""Samplers and pruners that are named by their module: how they are read, made, and refused."""

import sys

import optuna
import pytest

from sweep.errors import SweepError
from sweep.options import Settings
from sweep.specs import make_pruner, make_sampler, names_module, parse, prunes

MINE = """
import optuna

class Mine(optuna.samplers.RandomSampler):
    def __init__(self, low=0.0, seed=None):
        super().__init__(seed)
        self.low, self.seed = low, seed

class Every(optuna.pruners.BasePruner):
    def __init__(self, step, only=()):
        self.step, self.only = step, only

    def prune(self, study, trial):
        return trial.last_step >= self.step

class Raises(optuna.samplers.RandomSampler):
    def __init__(self):
        raise RuntimeError("no\\nway")

def function(x=1):
    raise AssertionError("it is called")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a study file and a module beside it, of a name that no other test imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"mine_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MINE)
    (tmp_path / "study_of_it.py").write_text("raise AssertionError('the study file is imported')")
    return name


def test_a_sampler_is_made_from_its_arguments_and_the_seed_of_the_study(place):
    made = make_sampler(f"{place}:Mine(low=0.25)", 7)
    assert (type(made).__name__, made.low, made.seed) == ("Mine", 0.25, 7)
    assert make_sampler(f"{place}:Mine(0.5, seed=3)", 7).seed == 3
    assert make_sampler(f" {place}:Mine ", 7).low == 0.0


def test_a_pruner_is_made_from_its_arguments(place):
    made = make_pruner(f"{place}:Every(3, only=['a', -1.5, None, {{'b': True}}])")
    assert (made.step, made.only) == (3, ["a", -1.5, None, {"b": True}])
    assert prunes(f"{place}:Every(3)")


def test_one_of_optunas_may_be_named_so_too():
    made = make_pruner("optuna.pruners:WilcoxonPruner(p_threshold=0.2)")
    assert isinstance(made, optuna.pruners.WilcoxonPruner)


def test_a_module_beside_the_study_file_is_found_from_elsewhere(place, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert make_sampler(f"{place}:Mine", 7, str(tmp_path / "study_of_it.py")).seed == 7


@pytest.mark.parametrize("text", ["sampler", "sampler(x=1)", "grid({'a:b': [1, 2]})", "tpe"])
def test_what_names_no_module_is_none_of_these(text):
    assert not names_module("sampler", text)


def test_reading_one_imports_nothing(place):
    for kind in ("sampler", "pruner"):
        parse(kind, f"{place}:Mine(1)")
    Settings(sampler=f"{place}:Mine(1)", pruner=f"{place}:Every(1)").check_specs()
    assert place not in sys.modules


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{place}:Mine(low=open('x'))", r"arguments of a sampler must be numbers, .* not \(low=open\('x'\)\)"),
        ("{place}:Mine(low=__import__('os'))", "arguments of a sampler must be numbers"),
        ("{place}:Mine(**{{}})", "arguments of a sampler must be numbers"),
        ("{place}:Mine(1)(2)", "arguments of a sampler must be numbers"),
        ("{place}:Mine(high=1)", "cannot be made: TypeError: .*high"),
        ("{place}:Raises", "cannot be made: RuntimeError: no way"),
        ("{place}:Nothing", r"There is no sampler Nothing in .*a subclass of optuna.samplers.BaseSampler"),
        ("{place}:Every(1)", "There is no sampler Every"),
        ("{place}:function", "There is no sampler function"),
        ("os:system('true')", "There is no sampler system in os"),
        ("nosuch_module:Mine", "cannot be imported: ModuleNotFoundError: .*beside the study file"),
        ("study_of_it:Mine", "is in the study file, which only workers import.*Move Mine to a module of its own"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(place, tmp_path, spec, said):
    with pytest.raises(SweepError, match=said) as refused:
        make_sampler(spec.format(place=place), 7, str(tmp_path / "study_of_it.py"))
    assert "\n" not in str(refused.value)
