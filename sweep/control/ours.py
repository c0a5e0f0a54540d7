"""Which files of a study are ours to change: not those in a log directory that others wrote, which was imported.

Such a directory stays as it is, also when the study is removed or goes on in it. Of its runs only those are ours that a
worker of sweep has trained.
"""

from collections.abc import Iterable
from pathlib import Path

from sweep.control.folder import belongs
from sweep.control.optuna_rows import read_study_attributes
from sweep.store import RunRecord, Store, StudyRecord
from sweep.words import counted

OTHERS = "sweep:others_folder"
"""The system attribute of a study that says that others had written its folder when it was imported."""


class Ours:
    """What is ours of a study.

    Attributes:
        folder: whether everything in the study's folder is.
    """

    def __init__(self, store: Store, study: StudyRecord) -> None:
        with store.engine.connect() as connection:
            others = bool(read_study_attributes(connection, study.study_id)[1].get(OTHERS))
        self._place = Path(study.directory)
        # What no version of sweep has trained was imported; if sweep wrote its event files, the folder says so.
        self.folder = not others and (bool(study.declaration.versions) or belongs(self._place, store.url))

    def has(self, run: RunRecord) -> bool:
        """Whether a run's directory is ours: a worker of sweep has trained it, or it is right in a folder of ours."""
        if run.directory is None:
            return False
        return run.is_trained_here or (self.folder and Path(run.directory).parent.resolve() == self._place.resolve())


def left_to_others(runs: Iterable[RunRecord]) -> str:
    """What is said of runs whose files stay, to be put behind a sentence; empty without one."""
    count = len(list(runs))
    if not count:
        return ""
    return f"; others wrote the files of {counted(count, 'run')}, which were left"
