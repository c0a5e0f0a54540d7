"""Event files: what is written is read, by this package and by both of TensorBoard's loaders, wherever a file ends."""

import math
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from sweep.rundir import run_directory
from sweep.store import RunRecord
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import RUN_TAG, EpochScalars, RunWriter, end_run, files, read, restart, run_text
from tests.tensorboard_server import BY_HAND, LOADERS, tensorboard

NAME = "dnn-4x32-lr=0.01-t0000"


@pytest.fixture
def directory(tmp_path):
    return run_directory(tmp_path, "diabetes", NAME)


def write_epochs(directory, count, value=0.0):
    """A run of so many epochs, with everything that a run has; its epochs are value, value + 1, ..."""
    with RunWriter(directory) as writer:
        writer.add(hparams.build_start({"lr": 0.01}, {}, directory.name, time.time()), 0)
        writer.text(RUN_TAG, run_text(directory.name, {"lr": 0.01}, "RUNNING", ""))
        for epoch in range(count):
            writer.scalars(epoch, {"loss": epoch, "val_loss": value + epoch})
            writer.histograms(epoch, {"dense/kernel": np.arange(10.0) * epoch})


def scalars(directory, tag="val_loss"):
    """A tag's steps and values, read by this package."""
    return [
        (event.step, value.tensor.float_val[0])
        for event in read(directory)
        for value in event.summary.value
        if value.tag == tag
    ]


def test_a_run_has_a_directory_in_that_of_its_study(tmp_path):
    assert run_directory(tmp_path, "diabetes", NAME) == tmp_path / "diabetes" / NAME


def test_what_is_written_is_read(directory):
    write_epochs(directory, 3, value=0.5)
    assert scalars(directory) == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert scalars(directory, "loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_tensorboards_own_reader_reads_it(directory):
    write_epochs(directory, 3)
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    tensors = accumulator.Tensors("val_loss")
    assert [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in tensors] == [
        (0, 0.0),
        (1, 1.0),
        (2, 2.0),
    ]


def test_what_is_flushed_is_there_before_the_writer_closes(directory):
    writer = RunWriter(directory)
    writer.scalars(0, {"val_loss": 0.5})
    writer.flush()
    assert scalars(directory) == [(0, 0.5)]
    writer.close()
    writer.close()


def test_a_step_that_does_not_increase_is_refused_by_name_and_writes_nothing(directory):
    with RunWriter(directory) as writer:
        writer.scalars(3, {"val_loss": 0.5})
        for step in (3, 2):
            with pytest.raises(ValueError, match=f"steps of tag 'val_loss' must increase: got {step} after 3"):
                writer.scalars(step, {"val_loss": 0.25})
        writer.scalars(0, {"loss": 0.5})
    assert scalars(directory) == [(3, 0.5)]


def test_a_file_cut_at_any_byte_of_its_last_record_has_all_records_before(directory):
    write_epochs(directory, 2)
    (path,) = files(directory)
    with RunWriter(directory) as writer:
        writer.scalars(2, {"val_loss": 2.0})
    last = files(directory)[1]
    whole, record = path.read_bytes(), last.read_bytes()
    last.unlink()
    for length in range(len(record)):
        path.write_bytes(whole + record[:length])
        assert scalars(directory) == [(0, 0.0), (1, 1.0)]
    path.write_bytes(whole + record)
    assert scalars(directory) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_files_of_one_process_are_in_the_order_in_which_they_were_begun(directory):
    for number in range(12):
        with RunWriter(directory) as writer:
            writer.scalars(number, {"val_loss": number})
    assert [step for step, _ in scalars(directory)] == list(range(12))


@pytest.mark.parametrize("loader", LOADERS)
def test_a_run_whose_worker_was_killed_in_a_record_has_its_end_in_a_second_file(tmp_path, directory, loader):
    write_epochs(directory, 3)
    (path,) = files(directory)
    path.write_bytes(path.read_bytes()[:-7])
    reason = "its worker was killed by SIGKILL 3 times"
    run = RunRecord(0, NAME, "FAIL", directory=str(directory), params={"lr": 0.01}, seed=5, reason=reason)
    run.epoch, run.best = 3, 0.5
    end_run(run, "val_loss")
    with tensorboard(tmp_path / "diabetes", loader) as server:
        server.wait_for(server.session_groups, lambda groups: groups[NAME]["sessions"][0]["status"] != "STATUS_UNKNOWN")
        assert server.session_groups()[NAME]["sessions"][0]["status"] == "STATUS_FAILURE"
        assert server.session_groups()[NAME]["hparams"] == {"lr": 0.01}
        assert server.scalars(NAME, "val_loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]
        assert server.scalars(NAME, "best/val_loss") == [(2, 0.5)]
        assert list(server.histograms(NAME, "dense/kernel")) == [0, 1]
        text = server.texts(NAME, RUN_TAG)[1]
        assert f"<strong>FAIL</strong>: {reason}" in text


def behind(monkeypatch):
    """The wall clock, set back by an hour."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 3600 * 10**9)


@pytest.mark.parametrize(
    "earlier", ["events.out.tfevents.4000000000.host.1.0.v2", "events.out.tfevents.4000000000.999999999.host.1.0"]
)
def test_a_file_is_named_to_be_read_after_another_writers(directory, earlier):
    directory.mkdir(parents=True)
    (directory / earlier).write_bytes(b"")
    for number in range(2):
        with RunWriter(directory) as writer:
            writer.scalars(number, {"val_loss": number})
    assert files(directory)[0].name == earlier
    assert scalars(directory) == [(0, 0.0), (1, 1.0)]


@pytest.mark.parametrize("loader", LOADERS)
def test_the_end_of_a_run_is_shown_though_the_clock_was_set_back(tmp_path, directory, loader, monkeypatch):
    write_epochs(directory, 3)
    with tensorboard(tmp_path / "diabetes", loader) as server:
        server.wait_for(lambda: server.scalars(NAME, "val_loss"), lambda values: len(values) == 3)
        behind(monkeypatch)
        end_run(RunRecord(0, NAME, "PRUNED", directory=str(directory), reason="by hand"), "val_loss")
        text = server.wait_for(lambda: server.texts(NAME, RUN_TAG), lambda texts: 1 in texts)[1]
        assert "<strong>PRUNED</strong>: by hand" in text


@pytest.mark.parametrize("loader", LOADERS)
def test_a_run_that_is_run_again_is_shown_anew_while_tensorboard_runs(tmp_path, directory, loader):
    write_epochs(directory, 6)
    with tensorboard(tmp_path / "diabetes", loader) as server:
        server.wait_for(lambda: server.scalars(NAME, "val_loss"), lambda values: len(values) == 6)
        restart(directory)
        write_epochs(directory, 3, value=0.5)
        again = [(0, 0.5), (1, 1.5), (2, 2.5)]
        assert server.wait_for(lambda: server.scalars(NAME, "val_loss"), lambda values: len(values) == 3) == again
        assert list(server.histograms(NAME, "dense/kernel")) == [0, 1, 2]
    with tensorboard(tmp_path / "diabetes", loader) as server:
        server.wait_for_runs(1)
        assert server.wait_for(lambda: server.scalars(NAME, "val_loss"), bool) == again


def test_a_run_that_begins_for_the_first_time_has_nothing_to_forget(directory):
    restart(directory)
    assert not directory.exists()


@pytest.mark.parametrize("loader", LOADERS)
def test_steps_below_zero_are_shown(tmp_path, directory, loader):
    with RunWriter(directory) as writer:
        for step in (-3, -1, 0):
            writer.scalars(step, {"val_loss": step})
    with tensorboard(tmp_path / "diabetes", loader) as server:
        assert server.wait_for(lambda: server.scalars(NAME, "val_loss"), bool) == [(-3, -3.0), (-1, -1.0), (0, 0.0)]


@pytest.mark.parametrize("loader", LOADERS)
def test_nan_infinity_and_empty_arrays_are_shown(tmp_path, directory, loader):
    with RunWriter(directory) as writer:
        for step, value in enumerate([1.0, math.nan, math.inf, -math.inf]):
            writer.scalars(step, {"val_loss": value})
        arrays = {"nan": [math.nan], "empty": [], "half": [0.5, 0.5, math.inf]}
        writer.histograms(0, {name: np.array(array, np.float16) for name, array in arrays.items()})
    with tensorboard(tmp_path / "diabetes", loader) as server:
        server.wait_for(server.histogram_tags, lambda tags: len(tags.get(NAME, [])) == 3)
        np.testing.assert_array_equal(
            server.scalars(NAME, "val_loss"), [(0, 1.0), (1, math.nan), (2, math.inf), (3, -math.inf)]
        )
        tables = {tag: server.histograms(NAME, tag) for tag in arrays}
        assert tables == {"nan": {0: []}, "empty": {0: []}, "half": {0: [[0.0, 1.0, 2.0]]}}


@pytest.mark.slow  # it loads TensorFlow
def test_tensorboard_started_by_hand_shows_the_same(tmp_path, directory):
    write_epochs(directory, 2)
    with tensorboard(tmp_path / "diabetes", command=BY_HAND) as server:
        assert server.wait_for_runs(1) == [NAME]
        assert server.wait_for(lambda: server.scalars(NAME, "val_loss"), bool) == [(0, 0.0), (1, 1.0)]


def test_a_text_shows_name_state_reason_and_exact_parameters_as_they_are(tmp_path):
    params = {
        "learning_rate": 0.1 + 0.2,
        "optimizer": "a*b*c_",
        "choice": "none",
        "nothing": None,
        "html": "<b>|&",
        "lines": "a\nb",
        "empty": "",
    }
    about, findings = {"seed": 7}, ["overfitting since epoch 3: val_loss [1]", "data-leak: 5% *"]
    text = run_text("dnn_broke-t0001", params, "PRUNED", "median: 0.5 | <class 'x'> *y*\nabove", about, findings)
    with RunWriter(tmp_path / "run") as writer:
        writer.text(RUN_TAG, text)
    with tensorboard(tmp_path, "legacy") as server:
        html = server.wait_for(lambda: server.texts("run", RUN_TAG)[0], bool)
    assert "<strong>dnn_broke-t0001</strong>" in html
    assert "<strong>PRUNED</strong>: median: 0.5 | &lt;class 'x'&gt; *y* above" in html
    cells = {
        "learning_rate": "0.30000000000000004",
        "optimizer": "a*b*c_",
        "choice": '"none"',
        "nothing": "none",
        "html": "&lt;b&gt;|&amp;",
        "lines": '"a\\nb"',
        "empty": '""',
        "seed": "7",
    }
    items = [re.sub(r"<[^>]*>", "", item).strip() for item in re.findall("<li>.*?</li>", html, re.DOTALL)]
    assert items == findings
    for key, value in cells.items():
        assert f"<td>{key}</td>\n<td>{value}</td>" in html


def test_a_directory_that_cannot_be_made_is_an_oserror(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RunWriter(tmp_path / "file" / "run")


def test_a_full_disk_is_an_oserror(directory):
    writer = RunWriter(directory)
    writer._file.close()
    writer._file = open("/dev/full", "wb")  # noqa: SIM115  closed below
    with pytest.raises(OSError, match="No space left"):
        writer.text(RUN_TAG, "x" * 1_000_000)
    writer.scalars(0, {"val_loss": 0.5})
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_neither_tensorflow_nor_keras_is_loaded_to_write_and_read(tmp_path):
    program = f"""
import sys
from pathlib import Path
import numpy as np
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import RunWriter, read
with RunWriter(Path({str(tmp_path)!r})) as writer:
    writer.add(hparams.build_start({{"lr": 0.1}}, {{}}, "group", 0.0), 0)
    writer.scalars(0, {{"loss": 0.5}})
    writer.histograms(0, {{"kernel": np.arange(3)}})
    writer.text("run", "text")
    writer.keras_graph("{{}}")
    writer.add(hparams.build_end("COMPLETE", 1.0), 0)
print(len(list(read(Path({str(tmp_path)!r})))), sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "8 []", done.stderr


def tags(rates, **params) -> dict[str, dict[int, float]]:
    """The scalars of a run's epochs by tag and step, with such learning rates."""
    scalars, found = EpochScalars(params), {}
    for epoch, rate in enumerate(rates):
        for step, values in scalars.at(epoch, {"loss": 1.0, "learning_rate": rate}):
            for tag, value in values.items():
                assert step not in found.setdefault(tag, {})
                found[tag][step] = value
    assert found.pop("loss") == dict.fromkeys(range(len(rates)), 1.0)
    return found


def test_a_learning_rate_that_is_no_hyperparameter_is_a_scalar_of_each_epoch():
    assert tags([0.1, 0.1], units=4) == {"learning_rate": {0: 0.1, 1: 0.1}}


@pytest.mark.parametrize("name", ["learning_rate", "lr"])
def test_a_learning_rate_that_stays_what_its_hyperparameter_says_is_no_scalar(name):
    assert tags([float(np.float32(0.1))] * 3, **{name: 0.1}) == {}


def test_a_learning_rate_that_changes_has_a_scalar_for_all_epochs_under_a_tag_that_no_hyperparameter_has():
    rates = [0.1, 0.1, 0.05, 0.1]
    assert tags(rates, learning_rate=0.1) == {"epoch_learning_rate": dict(enumerate(rates))}
    assert tags(rates, lr=0.1) == {"learning_rate": dict(enumerate(rates))}
    assert tags(rates, learning_rate="cosine") == {"epoch_learning_rate": dict(enumerate(rates))}


def test_metrics_without_a_learning_rate_are_written_as_they_are():
    assert EpochScalars({"learning_rate": 0.1}).at(3, {"loss": 2.0}) == [(3, {"loss": 2.0})]
