"""The commands by name. Each module is imported when its command is run, so that `sweep --help` is quick."""

import importlib
from typing import Any

import typer
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined]  # CompletionItem

HELP = """Hyperparameter sweeps for Keras, whose runs are named after what ran.

\b
sweep start studies/diabetes.py      train
sweep runs diabetes '^dnn'           look at the runs whose name begins with dnn
sweep tensorboard diabetes '^dnn'    see the same runs in TensorBoard
sweep serve --studies studies        all of it in a browser
"""

COMMANDS = {
    "start": ("sweep.cli.start:app", "Train a study, or continue it."),
    "runs": ("sweep.cli.read:runs", "List a study's runs."),
    "show": ("sweep.cli.read:show", "Show one run."),
    "best": ("sweep.cli.read:best", "List a study's best runs."),
    "watch": ("sweep.cli.read:watch", "Watch a running study."),
    "studies": ("sweep.cli.read:studies", "List studies and how they stand."),
    "names": ("sweep.cli.names:names", "Show the run names a study gives."),
    "export": ("sweep.cli.read:export", "Write all trials as CSV or JSON."),
    "tensorboard": ("sweep.cli.tensorboard:tensorboard", "Start TensorBoard, its filter set."),
    "prune": ("sweep.cli.prune:prune", "Prune the running trials that match."),
    "protect": ("sweep.cli.protect:protect", "Protect a running trial from its pruner."),
    "revive": ("sweep.cli.revive:revive", "Continue a run that was pruned by mistake."),
    "rerun": ("sweep.cli.rerun:rerun", "Train a run again and compare."),
    "stop": ("sweep.cli.stop:stop", "Stop a running study."),
    "rm": ("sweep.cli.rm:rm", "Remove a study."),
    "clean": ("sweep.cli.clean:clean", "Remove files of runs that match."),
    "serve": ("sweep.cli.serve:serve", "Show every study in a browser and over HTTP."),
    "db": ("sweep.cli.db:app", "Upgrade, check or copy a database."),
}
"""Where each command is defined, as `module:name`, and the first line of its help, in the order of `sweep --help`."""

FORMER = {"keep": "protect"}
"""Former names of commands, which still work."""


class Commands(TyperGroup):
    """The commands of `COMMANDS`; asking for their names and for the help that lists them imports none."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names alone, for "did you mean"

    def get_command(self, _context: Any, name: str) -> Any:
        """A command, imported now; None if there is none of that name."""
        name = FORMER.get(name, name)
        return _load(name) if name in COMMANDS else None

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def shell_complete(self, context: Any, incomplete: str) -> list[Any]:
        """The commands whose names begin with what was typed, and the options."""
        found = [CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items()]
        return [item for item in found if item.value.startswith(incomplete)] + super(TyperGroup, self).shell_complete(
            context, incomplete
        )


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        command, found = found, typer.Typer(rich_markup_mode=None)
        found.command(name)(command)
    found._add_completion = False
    return typer.main.get_command(found)


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help=HELP)
def sweep() -> None:
    """The group itself does nothing."""
