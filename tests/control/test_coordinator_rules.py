"""Whatever workers do, die of, or are told: each trial ends once, and the budget is what is trained."""

import contextlib
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sweep.core.trial import State
from sweep.store import FINISHED
from sweep.worker.link import TrialTaken
from tests.control.memory import optunas_trials
from tests.control.workers import Worker, a_house

BUDGET = 6


class Sweep(RuleBasedStateMachine):
    """Workers that train, report, end, die and come back; a study that is given up and opened again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.names: dict[int, str] = {}
        self.serial = 0
        self.open()

    def open(self) -> None:
        self.stack = contextlib.ExitStack()
        self.house = self.stack.enter_context(a_house(Path(self.folder.name), trials=BUDGET))
        self.busy: list[Worker] = []
        self.new_worker()

    def new_worker(self) -> Worker:
        self.serial += 1
        return self.house.worker(str(self.serial))

    def teardown(self) -> None:
        self.stack.close()
        self.folder.cleanup()

    def pick(self, index: int) -> Worker | None:
        return self.busy[index % len(self.busy)] if self.busy else None

    @rule()
    def begin(self) -> None:
        if len(self.busy) < 3 and (self.house.study.over or self.house.study._again or self.house.study.left > 0):
            worker = self.new_worker()
            if "end" not in worker.ask():
                self.busy.append(worker)

    @rule(index=st.integers(0, 2))
    def name(self, index: int) -> None:
        worker = self.pick(index)
        if worker is not None and self.house.study.live[worker.number].state is not State.TRAINING:
            name = worker.start(3)["name"]
            assert self.names.setdefault(worker.number, name) == name

    @rule(index=st.integers(0, 2), loss=st.floats())
    def report(self, index: int, loss: float) -> None:
        worker = self.pick(index)
        if worker is not None and self.house.run(worker.number).trainings:
            worker.epoch(self.house.run(worker.number).epoch, loss)

    @rule(index=st.integers(0, 2), state=st.sampled_from(["COMPLETE", "PRUNED", "FAIL", "WAITING"]))
    def end(self, index: int, state: str) -> None:
        if worker := self.pick(index):
            self.busy.remove(worker)
            worker.end(state, 0.5, None if state != "FAIL" else f"failure of {worker.number}")
            with contextlib.suppress(TrialTaken):
                worker.end(state)
                raise AssertionError("a trial ended twice")

    @rule(index=st.integers(0, 2), killed=st.booleans())
    def die(self, index: int, killed: bool) -> None:
        if worker := self.pick(index):
            self.busy.remove(worker)
            self.house.gone(worker.name, f"gone with {worker.number}", killed=killed)

    @rule()
    def start_again(self) -> None:
        for worker in self.busy:
            self.house.gone(worker.name, "killed by SIGKILL", killed=True)
        self.stack.close()
        self.open()

    @invariant()
    def each_trial_is_with_one_worker_and_the_budget_is_kept(self) -> None:
        assert sorted(self.house.study.live) == sorted(worker.number for worker in self.busy)
        trials = self.house.search.trials()
        assert [trial.number for trial in trials] == list(range(len(trials)))
        assert len(trials) <= BUDGET
        ends = Counter(number for number, state in self.house.heard.ends if state in FINISHED)
        assert set(ends.values()) <= {1}

    @invariant()
    def a_finished_study_has_ended_all_its_trials(self) -> None:
        if self.house.study.over and self.house.study.kept:
            states = [trial.state.name for trial in optunas_trials(f"sqlite:///{self.folder.name}/sweep.db")]
            assert len(states) == BUDGET
            assert set(states) <= FINISHED
            assert [run.state for _, run in sorted(self.house.study.runs.items())] == states


def test_whatever_workers_do_each_trial_ends_once_and_the_budget_is_kept():
    run_state_machine_as_test(Sweep, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
