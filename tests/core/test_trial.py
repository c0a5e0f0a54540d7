"""What becomes of a run's record."""

from sweep.core.trial import forget, requeue
from sweep.finding import Finding
from sweep.store import RunRecord


def test_a_run_that_waits_keeps_its_epochs_and_says_why_and_how_long_it_has_trained():
    run = RunRecord(1, epoch=3, best=1.0)
    requeue(run, "why", 2.5)
    assert (run.state, run.attempt, run.reason, run.duration) == ("WAITING", 1, "why", 2.5)
    assert (run.epoch, run.best) == (3, 1.0)
    assert run.interruptions == ["after 3 epochs: why"]


def test_an_attempt_counts_once_however_often_the_run_is_put_back():
    run = RunRecord(1)
    for _ in range(3):
        requeue(run, None)
    assert run.attempt == 1


def test_a_run_that_is_run_again_forgets_its_epochs_and_findings():
    run = RunRecord(1, epoch=3, last=1.0, best=1.0, best_epoch=0, findings=[Finding("dead-relu", "", "")])
    forget(run)
    assert (run.epoch, run.last, run.best, run.best_epoch, run.findings) == (0, None, None, None, [])
