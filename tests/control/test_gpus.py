"""Which GPUs are trained on. nvidia-smi's answers are written down here: there is no GPU where this runs."""

import os
import stat

import pytest

from sweep.control import gpus
from sweep.errors import StudyError

ANSWERS = {
    "gpu=index,uuid": [["0", "GPU-a"], ["1", "GPU-b"], ["2", "GPU-c"]],
    "compute-apps=gpu_uuid,pid": [["GPU-b", "4711"], ["GPU-b", "4712"]],
}


@pytest.fixture(autouse=True)
def three_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")


def choose(wanted=None, answers=ANSWERS):
    said = []
    return gpus.choose(wanted, said.append, answers.__getitem__), said


@pytest.mark.parametrize(("visible", "expected"), [("", []), ("-1", []), ("0, 2", ["0", "2"]), ("GPU-a", ["GPU-a"])])
def test_the_gpus_are_those_that_may_be_seen(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.visible() == expected


def test_a_gpu_that_others_use_is_left_out_and_named():
    assert choose() == (["0", "2"], ["GPU 1 is left out: process 4711, 4712 is on it"])


def test_a_gpu_is_also_known_by_its_uuid(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,GPU-c")
    assert choose() == (["GPU-c"], ["GPU GPU-b is left out: process 4711, 4712 is on it"])


def test_those_that_are_asked_for_are_taken():
    assert choose(["2"]) == (["2"], [])


def test_what_cannot_be_is_refused():
    with pytest.raises(StudyError, match=r"No such GPU: 7. Choose from 0, 1, 2."):
        choose(["0", "7"])
    with pytest.raises(StudyError, match="GPU 1 is in use by another process"):
        choose(["1"])


def test_a_machine_without_gpus_asks_nobody(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose(answers={}) == ([], [])


def test_nvidia_smi_is_asked_and_may_be_missing_or_fail(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.nvidia_smi("gpu=index,uuid") == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho \"$1\" > asked\necho '0, GPU-a'\necho '1, GPU-b'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert gpus.nvidia_smi("gpu=index,uuid") == [["0", "GPU-a"], ["1", "GPU-b"]]
    assert (tmp_path / "asked").read_text() == "--query-gpu=index,uuid\n"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpus.nvidia_smi("gpu=index,uuid") == []
