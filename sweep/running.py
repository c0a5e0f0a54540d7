"""`Study.run`: the sweep of `sweep start` from a script or a notebook, with the same display."""

import importlib.util
from typing import Any

import optuna
from rich.console import Console

from sweep.cli.display import LiveDisplay, PlainDisplay
from sweep.cli.output import console
from sweep.cli.parameters import choose
from sweep.control.preview import preview, preview_here
from sweep.control.start import Outcome, start_file, start_here
from sweep.errors import StudyError
from sweep.options import Settings, from_keywords
from sweep.study_file import BaseStudy


def run_study(study: BaseStudy, **overrides: Any) -> optuna.Study:
    """Run a study; see `Study.run`."""
    settings = from_keywords(overrides)
    workers = settings.workers if settings.workers is not None else study.workers
    here = study.file is None or workers == 0
    if here and settings.workers:
        raise StudyError(
            f"workers={settings.workers} needs a file that binds this study to the name `study`, for workers.",
            hint="Leave workers out to train in this process.",
        )
    if here and settings.cluster is not None:
        raise StudyError("A cluster needs a file that binds this study to the name `study`, for workers to import.")
    settings = choose(settings, lambda: preview_here(study) if here else preview(str(study.file)))
    with _display(console(), str(study.file or study.name), settings) as watcher:
        outcome = start_here(study, settings, watcher) if here else start_file(str(study.file), settings, watcher)
    return _stored(outcome)


def _stored(outcome: Outcome) -> optuna.Study:
    """A study as Optuna has it, which its database backs: what is done with it is kept.

    It has the sampler and the pruner that the sweep had. A study of which nothing was kept is in memory alone.
    """
    search = outcome.opened.search
    study = search.study
    if outcome.url is None:
        return study
    return optuna.load_study(
        study_name=outcome.declaration.name,
        storage=optuna.storages.RDBStorage(outcome.url, skip_table_creation=True),
        sampler=search.sampler_elsewhere(),
        pruner=study.pruner,
    )


def _display(screen: Console, file: str, settings: Settings) -> LiveDisplay | PlainDisplay:
    """The live display where there is a person: on a terminal, and in a notebook that can change what it has shown."""
    rich_can = importlib.util.find_spec("ipywidgets") is not None
    lives = rich_can if screen.is_jupyter else screen.is_terminal
    return LiveDisplay(screen, file, names=settings.names) if lives else PlainDisplay(screen, file)
