"""The command line: `sweep ...`."""

import sys

from sweep.errors import SweepError


def main() -> None:
    """Run one command. An error of the user's is one line on stderr and exit status 2; others keep their traceback."""
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
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    except typer.TyperException as error:
        return _usage_error(error)
    except typer.Abort:
        print("sweep: nothing was done", file=sys.stderr)
        return 1


def _usage_error(error: Exception) -> int:
    """Print what is wrong with a command line, in a line, and which help says how it is right."""
    context = getattr(error, "ctx", None)
    text = error.format_message().removesuffix(".")  # type: ignore[attr-defined]
    print(f"sweep: {text}; see {context.command_path if context else 'sweep'} --help", file=sys.stderr)
    return int(getattr(error, "exit_code", 2))
