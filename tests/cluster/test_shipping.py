"""What of a study's folder goes to the nodes."""

import pytest

from sweep.cluster import shipping
from sweep.cluster.shipping import stays
from sweep.errors import SweepError


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x" * 10)


def test_environments_and_the_log_directory_stay_and_a_package_called_env_does_not(tmp_path):
    fill(
        tmp_path, ["wine.py", "env/__init__.py", "env/step.py", "mine/pyvenv.cfg", "mine/lib/a.py", "runs/wine/events"]
    )
    assert {*stays(tmp_path, tmp_path / "runs")} - {*shipping._STAYS} == {"/mine", "/runs"}


def test_a_folder_that_is_too_large_is_refused_and_what_stays_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "MOST", 40)
    fill(tmp_path, ["wine.py", "data/a.csv", ".git/pack", "sweep.db", "runs/wine/events", "venv/pyvenv.cfg", "venv/a"])
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    stays(tmp_path, tmp_path / "runs")
    fill(tmp_path, ["data/b.csv", "data/c.csv", "data/d.csv"])
    with pytest.raises(SweepError, match=r"it holds more than 4e-05 MB\. Put the study file in a folder"):
        stays(tmp_path, tmp_path / "runs")


def test_a_link_that_leads_back_is_refused_and_another_is_followed(tmp_path):
    study = tmp_path / "study"
    fill(study, ["wine.py", "below/a.py"])
    fill(tmp_path, ["data/a.csv"])
    (study / "data").symlink_to(tmp_path / "data")
    stays(study, tmp_path / "runs")
    (study / "below" / "back").symlink_to(study)
    with pytest.raises(SweepError, match=r"the link .*/below/back leads back"):
        stays(study, tmp_path / "runs")
