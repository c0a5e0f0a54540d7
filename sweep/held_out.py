"""What a study file's `test(model)` says of the models of a run's repeats, on data that no choice has seen.

    python -m sweep.held_out STUDY NUMBER REPEAT...

It is called in a process of its own, since it is the user's, and once for each repeat.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import StudyError, SweepError, printed
from sweep.models import Kept, loaded, storage_url
from sweep.snapshot import Snapshot
from sweep.sources import text
from sweep.store import RepeatRecord, Store, StudyRecord

if TYPE_CHECKING:
    from sweep.train.source import Source

TEST = "test"
"""The name of the function in a study file, and of what it returns if that is a number."""


def main() -> None:
    """Print what `test` returned for each repeat as JSON: `{"tests": {repeat: {name: number}}, "notes": [...]}`."""
    name, number, *repeats = sys.argv[1:]
    try:
        print(json.dumps(tested(name, int(number), set(map(int, repeats)))))
    except (SweepError, OSError) as error:
        sys.exit(printed(error) if isinstance(error, SweepError) else f"sweep: {error}")


def tested(name: str, number: int, wanted: set[int]) -> dict[str, Any]:
    """What `test` returned for some repeats of a run, as `main` prints it.

    Raises:
        StudyError: the study file has no `test`, it fails or returns something else than numbers, or a repeat's model
            is gone.
    """
    store = Store(storage_url())
    try:
        study = store.study(name)
        (run,) = store.runs(study.study_id, [number])
        repeats = [one for one in run.repeats if one.repeat in wanted]
        texts = {one.snapshot: store.snapshot(one.snapshot) for one in repeats if one.snapshot is not None}
    finally:
        store.close()
    found, notes = {}, []
    for one in repeats:
        kept = _kept(study, one, texts.get(one.snapshot or ""))
        source, function, note = _function(study, kept)
        notes += [note] if note is not None and note not in notes else []
        found[one.repeat] = numbers(_call(kept, source, function))
    return {"tests": found, "notes": notes}


def _kept(study: StudyRecord, one: RepeatRecord, text: str | None) -> Kept:
    if one.directory is None or text is None:
        raise StudyError(f"The files of repeat {one.repeat} are gone, so it cannot be tested.")
    return Kept(Path(one.directory), study, None, Snapshot.from_text(text))


def _function(study: StudyRecord, kept: Kept) -> "tuple[Source, Callable[[Any], Any], str | None]":
    """The study file's `test`, with where it is from, and what a person should know of that.

    It may have been written since the study was trained: then it is taken from the file as it is today.

    Raises:
        StudyError: there is none.
    """
    from sweep.train.source import source_of

    origin, snapshot = study.declaration.file, kept.snapshot
    if snapshot is None:
        raise StudyError(f"No snapshot of the study file of {study.name} is kept.")
    source = source_of(snapshot, origin)
    if (function := _test_of(source)) is not None:
        return source, function, None
    if origin is not None and Path(origin).is_file():
        today = Snapshot(snapshot.main, {**snapshot.files, snapshot.main: text(Path(origin))})
        source = source_of(today, origin)
        if (function := _test_of(source)) is not None:
            return source, function, f"test(model) is that of {snapshot.main} as it is today"
    raise StudyError(
        f"{snapshot.main} has no function test(model).",
        "Write one that measures a model on rows that train never sees, and returns a number or numbers by name.",
    )


def _test_of(source: "Source") -> Callable[[Any], Any] | None:
    *_, module = source.modules.values()
    function = getattr(module, TEST, None)
    return function if callable(function) else None


def _call(kept: Kept, source: "Source", function: Callable[[Any], Any]) -> Any:
    from sweep.train.source import active

    model = loaded(kept)
    with active(source):
        try:
            return function(model)
        except Exception as error:
            raise StudyError(f"test(model) failed for {kept.name}: {type(error).__name__}: {error}") from error


def numbers(returned: Any) -> dict[str, float]:
    """What `test` returned as numbers by name.

    Raises:
        StudyError: it is neither a finite number nor a dict of them.
    """
    named = dict(returned) if isinstance(returned, Mapping) else {TEST: returned}
    try:
        found = {str(name): float(value) for name, value in named.items()}
    except (TypeError, ValueError):
        found = {}
    if not found or not all(map(math.isfinite, found.values())):
        raise StudyError(f"test(model) must return a finite number, or a dict of them by name, not {returned!r}.")
    return found


if __name__ == "__main__":
    main()
