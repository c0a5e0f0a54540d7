"""The command line: `sweep ...`."""

import sys

from sweep.cli.process_list import hide_secrets
from sweep.errors import SweepError, printed


def main() -> None:
    """Run one command. A user's error is printed to stderr, with exit status 2; other errors keep their traceback."""
    hide_secrets()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    import typer

    from sweep.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows `?` for a sparkline
    try:
        return app(arguments or ["--help"], prog_name="sweep", standalone_mode=False) or 0
    except SweepError as error:
        print(printed(error), file=sys.stderr)
        return 2
    except typer.TyperException as error:
        return _usage_error(error)
    except typer.Abort:
        print("sweep: Nothing was changed.", file=sys.stderr)
        return 1


def _usage_error(error: Exception) -> int:
    """Print what is wrong with a command line, and which command shows its help."""
    context = getattr(error, "ctx", None)
    text = error.format_message()  # type: ignore[attr-defined]
    message = text if text.endswith((".", "?")) else f"{text}."
    help = f"See: {context.command_path if context else 'sweep'} --help"
    print(printed(SweepError(message, help)), file=sys.stderr)
    return int(getattr(error, "exit_code", 2))
