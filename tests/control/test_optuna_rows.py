"""Whatever happens to a study's trials and to the commits, the tables hold what memory holds, and Optuna reads it."""

import contextlib
import copy
import itertools
import math

import optuna
import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from sweep.control.lease import optuna_studies
from sweep.control.optuna_rows import read_study_attributes
from sweep.store import Store
from sweep.store.database import DatabaseFault, writing
from sweep.store.trials import read_trials, trials
from tests.control.memory import Memory, comparable
from tests.databases import Commits, optunas_own

DOMAINS = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "width": IntDistribution(1, 512, log=True),
    "kind": CategoricalDistribution([None, "a", 1, 2.5, True]),
    "größe": FloatDistribution(0, 1, step=0.1),
}
values = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf])
plain = st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=3)
keys = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=8)

_serial = itertools.count()


class Study(RuleBasedStateMachine):
    """Trials that begin, report, are run again and end, between flushes that succeed, fail, or lose their answer."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(self.store, name=f"study-{next(_serial)}")
        self.commits = Commits(self.store.engine)
        self.running: list[optuna.Trial] = []
        self.waiting: list[int] = []
        self.written = True

    def pick(self, index: int) -> optuna.Trial | None:
        self.written = self.written and not self.running
        return self.running[index % len(self.running)] if self.running else None

    @rule()
    def begin(self) -> None:
        self.running.append(self.memory.ask())
        self.written = False

    @rule(index=st.integers(0, 5), name=st.sampled_from(sorted(DOMAINS)))
    def suggest(self, index: int, name: str) -> None:
        if trial := self.pick(index):
            self.memory.search.suggest(trial, name, DOMAINS[name])

    @rule(index=st.integers(0, 5), step=st.integers(0, 3), value=values)
    def report(self, index: int, step: int, value: float) -> None:
        if trial := self.pick(index):
            self.memory.search.report(trial, step, value)
            self.memory.ledger.epoch(trial.number, step, {"loss": value})

    @rule(index=st.integers(0, 5), key=keys, value=plain)
    def set_attribute(self, index: int, key: str, value: object) -> None:
        if trial := self.pick(index):
            trial.set_user_attr(key, value)

    @rule(index=st.integers(0, 5), rung=st.integers(0, 2), value=values)
    def reach_rung(self, index: int, rung: int, value: float) -> None:
        if trial := self.pick(index):
            self.memory.search.storage.set_trial_system_attr(trial._trial_id, f"completed_rung_{rung}", value)

    @rule(index=st.integers(0, 5))
    def requeue(self, index: int) -> None:
        if trial := self.pick(index):
            self.running.remove(trial)
            self.waiting.append(trial.number)
            self.memory.search.storage.wait(trial._trial_id)
            self.memory.ledger.wait(trial.number, None)

    @rule(forget=st.booleans())
    def run_again(self, forget: bool) -> None:
        if self.waiting:
            trial = self.memory.search.again(self.waiting.pop())
            self.running.append(trial)
            self.memory.ledger.update(trial.number, state="RUNNING")
            self.written = False
            if forget:
                self.memory.search.storage.forget(trial._trial_id)
                self.memory.ledger.forget(trial.number)

    @rule(
        index=st.integers(0, 5), state=st.sampled_from(["COMPLETE", "PRUNED", "FAIL"]), value=st.floats(allow_nan=False)
    )
    def end(self, index: int, state: str, value: float) -> None:
        if trial := self.pick(index):
            self.running.remove(trial)
            self.memory.search.tell(trial, TrialState[state], [value] if state == "COMPLETE" else None)

    @rule(fault=st.sampled_from(["refused", "unanswered"]))
    def flush_fails(self, fault: str) -> None:
        with getattr(self.commits, fault)(), contextlib.suppress(DatabaseFault):
            self.memory.flush()

    @rule()
    def flush(self) -> None:
        self.memory.flush()
        self.written = True

    @invariant()
    def the_tables_hold_what_memory_holds(self) -> None:
        if not self.written:
            return
        study_id, waiting = self.memory.record.study_id, self.waiting
        expected = [as_it_stands(trial, waiting=trial.number in waiting) for trial in self.memory.trials()]
        with self.store.engine.connect() as connection:
            found = [trial for _, trial in read_trials(connection, study_id).values()]
        assert comparable(found) == comparable(expected)
        epochs = self.store.metrics(study_id)
        for trial in expected:
            assert epochs.get(trial.number, {}).keys() == trial.intermediate_values.keys()


def as_it_stands(trial: FrozenTrial, *, waiting: bool) -> FrozenTrial:
    """A trial as the tables show it: one that is to be run again is WAITING there."""
    shown = copy.copy(trial)
    if waiting:
        shown.state = TrialState.WAITING
    return shown


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()


def test_the_tables_hold_what_memory_holds_whatever_happens(store):
    machine = type("Machine", (Study,), {"store": store})
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=30, deadline=None))


def test_what_optuna_wrote_is_read_as_optuna_reads_it(storage_url, store):
    with optunas_own(storage_url) as storage:
        study = optuna.create_study(storage=storage, study_name="theirs", directions=["minimize", "maximize"])
        for number in range(3):
            trial = study.ask(DOMAINS)
            trial.set_user_attr("note", [number, None])
            trial.set_constraint("memory", 0.5)
            if number:
                study.tell(trial, [math.inf, number])
        study.enqueue_trial({"rate": 0.01})
        expected = study.trials
        with store.engine.connect() as connection:
            found = [trial for _, trial in read_trials(connection, study._study_id).values()]
            assert comparable(found) == comparable(expected)
            assert read_trials(connection, study._study_id, [1, 2]).keys() == {1, 2}


def test_attributes_of_a_study_are_read_as_they_were_written(storage_url, store):
    with optunas_own(storage_url) as storage:
        study = optuna.create_study(storage=storage, study_name="theirs")
        study.set_user_attr("note", {"a": [1.5, None]})
        with store.engine.connect() as connection:
            user, system = read_study_attributes(connection, study._study_id)
        assert (user, system) == ({"note": {"a": [1.5, None]}}, {})


def test_ten_thousand_trials_are_read_in_their_order(store):
    with writing(store.engine) as connection:
        study_id = connection.execute(
            sa.insert(optuna_studies).values(study_name="big").returning(optuna_studies.c.study_id)
        ).scalar_one()
        rows = [{"number": number, "study_id": study_id, "state": TrialState.RUNNING} for number in range(10_000)]
        connection.execute(sa.insert(trials), rows[::-1])
    with store.engine.connect() as connection:
        assert list(read_trials(connection, study_id)) == list(range(10_000))
