"""What a user declares, and the file it stands in."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import sweep
from sweep.errors import StudyError
from sweep.study import Study
from sweep.study_file import load


def train(trial):
    """An objective, here so that its study has a file."""
    return 1.0


def declared(**arguments):
    """A declaration with no more than must be, and these arguments."""
    return Study(train, **{"objective": "val_loss", "direction": "minimize", **arguments}).declaration()


def test_a_study_is_named_after_its_file_unless_it_has_a_name(tmp_path):
    assert declared().name == "test_study"
    assert declared(name="wine").name == "wine"
    file = tmp_path / "digits.py"
    file.write_text("import sweep\nstudy = sweep.Study(lambda trial: 1.0, objective='loss', direction='minimize')\n")
    assert load(file).name == "digits"


def test_a_declaration_has_what_is_needed_to_know_what_ran():
    said = declared()
    assert said.file == __file__
    assert len(said.hash) == 64
    assert {"python", "keras", "tensorflow", "optuna", "numpy"} <= said.versions.keys()
    assert said.doc == __doc__.strip()


def test_several_objectives_are_not_pruned_unless_somebody_says_so():
    two = {"objective": ["val_loss", "val_mae"], "direction": ["minimize", "minimize"]}
    assert declared(**two).pruner == "nop"
    with pytest.raises(StudyError, match="several objectives cannot prune, and its pruner is 'median'"):
        declared(**two, pruner="median")


def test_any_callable_may_train():
    assert Study(partial(train), objective="loss", direction="minimize").declaration().file == __file__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials must be a whole number of at least 1, not 0"),
        ({"trials": 2.0}, r"trials must be a whole number of at least 1, not 2\.0"),
        ({"trials": True}, "trials must be a whole number of at least 1, not True"),
        ({"trials": "many"}, "trials must be a whole number of at least 1, not 'many'"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": 1.5}, r"epochs must be a whole number of at least 1, not 1\.5"),
        ({"workers": -1}, "workers must be a whole number from 0 to 100000, not -1"),
        ({"workers": True}, "workers must be a whole number from 0 to 100000, not True"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
        ({"seed": "x"}, "seed must be a whole number from 0 to 4294967295, not 'x'"),
        ({"timeout": 0}, "timeout must be a time above 0, such as .*, not 0"),
        ({"timeout": float("nan")}, "timeout must be a time above 0, such as .*, not nan"),
        ({"timeout": "1w"}, "timeout must be a time above 0, such as .*, not '1w'"),
        ({"direction": "min"}, 'A direction must be "minimize" or "maximize", not \'min\''),
        ({"direction": ["minimize", "maximize"]}, "Each objective needs a direction of its own"),
        ({"objective": []}, "Each objective needs a direction of its own"),
        ({"objective": 3}, r"A study's objective must be text, or a list of texts, not \[3\]"),
        ({"name": "a/b"}, "name must be a name of up to 80 letters"),
        ({"name": "-x"}, "name must be a name of up to 80 letters"),
        ({"name": 3}, "name must be a name of up to 80 letters, .*, not 3"),
        ({"sampler": ["tpe"]}, r"sampler must be text, or one of Optuna's samplers, not \['tpe'\]"),
        ({"pruner": 1}, "pruner must be text, or one of Optuna's pruners, not 1"),
        ({"value": "first"}, 'A study\'s result must be "best" or "last", not \'first\''),
        ({"precision": 3}, 'precision must be "auto" or None, not 3'),
        ({"short": ["lr"]}, "short must be a dict from parameter names"),
        ({"short": {"learning_rate": 1}}, "short must be a dict from parameter names"),
        ({"enqueue": {"x": 1}}, "enqueue must be a list of dicts"),
        ({"enqueue": ["x=1"]}, "enqueue must be a list of dicts"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:40],
)
def test_an_argument_that_cannot_be_is_refused_in_a_line(arguments, message):
    with pytest.raises(StudyError, match=message) as refused:
        declared(**arguments)
    assert "\n" not in str(refused.value)


def test_what_does_not_train_is_refused():
    with pytest.raises(StudyError, match="the function that trains, not 3"):
        Study(3, objective="loss", direction="minimize")


def test_an_unknown_argument_is_pythons_own_error():
    with pytest.raises(TypeError, match="trails"):
        declared(trails=3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("broken.py", "x = (", r"is not valid Python: line 1"),
        (
            "raises.py",
            "x = 1\nraise ValueError('no data')",
            r"Cannot import the study file .*: ValueError: no data \(line 2\)",
        ),
        ("leaves.py", "import sys\nsys.exit(3)", r"Cannot import the study file .*: SystemExit: 3 \(line 2\)"),
        ("empty.py", "", r"does not bind a sweep\.Study to the name `study`\. Write"),
        ("other.py", "study = 3", r"does not bind a sweep\.Study to the name `study`, but a int"),
        ("study.txt", "", r"study\.txt is not a Python file"),
    ],
)
def test_a_file_that_is_no_study_file_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=message):
        load(tmp_path / name)


def test_a_file_that_is_missing_is_refused_with_those_there_are(tmp_path):
    (tmp_path / "wine.py").write_text("")
    with pytest.raises(StudyError, match=r"No such study file: .*wnie\.py\. Did you mean .*wine\.py\?"):
        load(tmp_path / "wnie.py")


def test_a_study_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_a_study.py").write_text("def train(trial):\n    return 1.0\n")
    file = tmp_path / "main.py"
    file.write_text(
        "import sweep\nfrom neighbour_of_a_study import train\n"
        "study = sweep.Study(train, objective='loss', direction='minimize')\n"
    )
    assert (load(file).name, load(file).declaration().file) == ("main", str(file))


def test_a_file_that_runs_its_study_when_imported_is_refused(tmp_path):
    """Its workers would start workers, without end."""
    file = tmp_path / "eager.py"
    file.write_text(
        "import sweep\nstudy = sweep.Study(lambda trial: 1.0, objective='loss', direction='minimize')\nstudy.run()\n"
    )
    with pytest.raises(StudyError, match=r'Put the call under: if __name__ == "__main__":'):
        load(file)


def test_loading_a_plain_study_loads_no_tensorflow():
    file = Path(__file__).parent.parent / "studies" / "optuna_plain.py"
    program = f"import sys; from sweep.study_file import load; load({str(file)!r}); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_class_is_a_public_name():
    assert sweep.Study is Study


def test_a_file_that_was_changed_within_a_second_to_one_of_the_same_size_is_read_anew(tmp_path):
    file = tmp_path / "quick.py"
    text = (
        'import sweep\n\nstudy = sweep.Study(lambda trial: 0.0, objective="loss", direction="minimize", name="one")\n'
    )
    file.write_text(text)
    os.utime(file, (1, 1))
    assert load(file).name == "one"
    file.write_text(text.replace('"one"', '"two"'))
    os.utime(file, (1, 1))
    assert load(file).name == "two"


def test_a_study_file_imports_its_own_neighbours_and_not_those_of_one_that_was_loaded_before(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside_it.py").write_text(f"NAME = {name!r}\n")
        (folder / "random.py").write_text("raise RuntimeError\n")
        arguments = "lambda trial: 1.0, objective='loss', direction='minimize', name=beside_it.NAME"
        (folder / "tiny.py").write_text(f"import random, sweep, beside_it\nstudy = sweep.Study({arguments})\n")
        monkeypatch.delitem(sys.modules, "beside_it", raising=False)
        monkeypatch.delitem(sys.modules, "random")
        assert load(folder / "tiny.py").name == name
