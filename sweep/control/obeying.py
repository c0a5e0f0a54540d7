"""What a coordinator does when somebody asks it through the store."""

from sweep.control.coordinator import Coordinator
from sweep.control.revival import has_checkpoint
from sweep.store import Command


def obey(coordinator: Coordinator, command: Command) -> None:
    """Do what a command says; one about a run that has ended meanwhile does nothing."""
    if command.verb == "stop":
        coordinator.watcher.message(f"stopping after the running epochs: {command.reason}")
        coordinator.stop(command.reason, requeue=True)
    elif command.number is None:
        return
    elif command.verb == "revive":
        _revive(coordinator, command.number)
    else:
        with coordinator.lock:
            live = coordinator.running().get(command.number)
            if live is not None and command.verb == "prune":
                live.condemned = command.reason
            elif live is not None and command.verb in ("protect", "keep"):
                live.shielded = True


def _revive(coordinator: Coordinator, number: int) -> None:
    """Queue a trial that goes on where a pruned one stopped, and give the study one more for it."""
    opened = coordinator.opened
    run = opened.ledger.find(number)
    if run is None or run.state != "PRUNED" or opened.search.revived(number):
        return
    if not has_checkpoint(run):
        coordinator.watcher.message(f"{run.name} is not revived: its checkpoint is gone")
        return
    opened.search.revive(number)
    with coordinator.changed:
        opened.grow(opened.budget + 1)
        coordinator.changed.notify_all()
    coordinator.watcher.message(f"{run.name} will continue in a new trial")
