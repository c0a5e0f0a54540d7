"""The commands. Each module is imported when its command is used, so that `sweep --help` is quick."""

from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import CompletionItem, TyperGroup  # type: ignore[attr-defined]  # CompletionItem

from sweep.distribution import __version__

HELP = """Hyperparameter sweeps for Keras, whose runs are named after what ran.

\b
To begin with:
  sweep start studies/diabetes.py      train a study
  sweep runs diabetes '^dnn'           list its runs whose names begin with dnn
  sweep serve                          see every study in a browser
"""

COMMANDS = {
    "start": "Train a study, or continue it.",
    "try": "Try a study file before a long run.",
    "runs": "List a study's runs.",
    "show": "Show one run.",
    "summary": "Say what has become of a study.",
    "best": "List a study's best runs.",
    "watch": "Watch a running study.",
    "studies": "List studies with their state.",
    "names": "Show the run names a study gives.",
    "export": "Write all trials as CSV or JSON.",
    "simulate": "Try other pruners on a study's curves.",
    "tensorboard": "Start TensorBoard, its filter set.",
    "prune": "Prune the running and paused trials that match.",
    "protect": "Protect a trial from its pruner.",
    "revive": "Continue a run that was pruned by mistake, or one that is paused.",
    "rerun": "Train a run again and compare.",
    "confirm": "Train the best runs again with fresh seeds.",
    "stop": "Stop a running study.",
    "import": "Import a study of Optuna, or TensorBoard runs.",
    "rm": "Remove a study, or some of its runs.",
    "clean": "Remove files of runs that match.",
    "serve": "Show every study in a browser and over HTTP.",
    "db": "Upgrade, check, copy or relocate a database.",
}
"""Each command with the first line of its help; the module of its name, `import_` for `import`, defines it."""

FORMER = {"keep": "protect"}
"""Former names of commands, which still work."""


class Commands(TyperGroup):
    """Finds a command in its module, and lists all commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names to suggest

    def get_command(self, ctx: typer.Context, name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        """The command of that name, None if there is none."""
        name = FORMER.get(name, name)
        return command(name) if name in COMMANDS else None

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """The commands whose names begin with what was typed, and the options."""
        found = [CompletionItem(name, help=about) for name, about in COMMANDS.items() if name.startswith(incomplete)]
        return found + super(TyperGroup, self).shell_complete(ctx, incomplete)


def command(name: str) -> Any:
    """The command of that name, from its module."""
    defined = f"{name}_" if iskeyword(name) else name
    module = import_module(f"sweep.cli.{defined}")
    if hasattr(module, "app"):  # a group of commands
        return typer.main.get_group(module.app)
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(name, **getattr(module, "COMMAND", {}))(getattr(module, defined))
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    help=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"sweep {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[  # its callback has done it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Make typer treat the app as a group, though its commands are found only when they are used."""
