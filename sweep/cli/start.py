"""`sweep start`: train a study. Its options are those of `sweep.options`."""

import inspect
import keyword
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from sweep.cli import options as cli_options
from sweep.options import OPTIONS, command_line, elsewhere, from_command_line, groups

WIDTH = 120  # columns that the help takes, where the terminal has them


class StartCommand(TyperCommand):
    """Lists the options under the headings of the table."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the argument and each group of options, with one column for all."""
        records = {param.name: param.get_help_record(ctx) or ("", "") for param in self.get_params(ctx)}
        sections = {"Arguments": ["file"]}
        sections |= {group: [parameter(each.flag) for each in of] for group, of in groups(command_line()).items()}
        sections["Help"] = ["help"]
        first = max(len(records[name][0]) for names in sections.values() for name in names)
        for heading, names in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(records[name][0].ljust(first), records[name][1]) for name in names], first)


def start(context: typer.Context, file: str, **given: Any) -> None:
    """Train a study, or continue it.

    Press Ctrl-C once to stop after the running epochs; when the study continues, so do the runs that were cut short.
    Press it twice to stop at once. With --server the service trains the study, and FILE is one of its folder.

    \b
    Examples:
      sweep start studies/diabetes.py --trials 50 --pruner 'median(n_startup_trials=5)'
      sweep start studies/diabetes.py --epochs 100 --set family=dnn --from diabetes:best:5
      sweep start studies/diabetes.py --on ray --address HOST:6379 --workers 64
      sweep start studies/diabetes.py --detach --notify 'mail -s "$SWEEP_MESSAGE" me@example.org </dev/null'
    """
    settings = from_command_line(_given(context, given))
    if settings.server is not None:
        _check_there(context)
        from sweep.cli.starting_there import start_there

        start_there(file, settings)
        return
    if settings.detach:
        from pathlib import Path

        from sweep.cli.detaching import detach
        from sweep.study import check_file

        check_file(file)
        detach(settings.name or Path(file).stem, settings.storage, settings.logdir)
        return
    from sweep.cli.starting import run

    status = run(file, settings)
    if status:
        raise typer.Exit(status)


def parameter(flag: str) -> str:
    """The Python name of an option's parameter."""
    name = flag.removeprefix("--").replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _signature() -> inspect.Signature:
    """The signature that typer reads: the study file, and each option of the table."""
    file = Annotated[str, typer.Argument(metavar="FILE", help="The study file.", show_default=False)]
    found = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        inspect.Parameter("file", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=file),
    ]
    for each in command_line():
        kind, default = cli_options.typed(each)
        found.append(
            inspect.Parameter(parameter(each.flag), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        )
    return inspect.Signature(found)


start.__signature__ = _signature()  # type: ignore[attr-defined]


def _given(context: typer.Context, values: dict[str, Any]) -> dict[str, Any]:
    """What the command line and the environment give, by flag."""
    by_name = {parameter(each.flag): each for each in command_line()}
    return {by_name[name].flag: value for name, value in values.items() if _source(context, name) != "DEFAULT"}


def _source(context: typer.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return source.name if source is not None else "DEFAULT"


def _check_there(context: typer.Context) -> None:
    """Refuse options that were typed and that a service does not take; the environment is for other commands too."""
    for each in command_line():
        taken = "api" in each.ways or each is OPTIONS["server"]
        if not taken and _source(context, parameter(each.flag)) == "COMMANDLINE":
            raise elsewhere(each, "cli")
