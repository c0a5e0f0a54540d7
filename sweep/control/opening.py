"""Opening a study: new, or one that goes on; every refusal comes before anything is written."""

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from sweep.control.advice import advise, new_study
from sweep.control.keeping import Keeping
from sweep.control.lease import claim, find_study
from sweep.control.opened import Opened
from sweep.control.others import Others
from sweep.control.search import Search
from sweep.control.standing import Standing, read_standing
from sweep.control.storage import Ledger
from sweep.control.writer import StudyWriter
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.names import Value
from sweep.options import Settings
from sweep.store import Store, StudyRecord
from sweep.store.database import has_schema, parse_url
from sweep.store.lease import new_owner


def open_study(declaration: Declaration, settings: Settings, *, preview: bool = False) -> Opened:
    """Open the study that a worker has declared.

    Raises:
        StudyError: it cannot go on as declared, is run by another coordinator, or its log directory cannot be written.
        StoreError: the database cannot be opened.
    """
    declaration = overridden(declaration, settings)
    if preview:
        declaration = _seeded(declaration, None)
        return Opened(declaration, settings, Search(declaration), Ledger(), preview=True)
    if len(declaration.objective) > 1 and Keeping(settings.keep).count is not None:
        raise StudyError(f"--keep {settings.keep} needs a study with one objective.", "Use --keep all or --keep none.")
    check_writable(Path(settings.logdir))
    store, record = _find(settings.storage, declaration.name)
    try:
        return _open(_seeded(declaration, record), settings, store, record)
    except BaseException:
        if store is not None:
            store.close()
        raise


def overridden(declaration: Declaration, settings: Settings) -> Declaration:
    """The declaration with what a start was given instead; epochs that were given hold whatever `sweep.fit` says."""
    return declaration.replaced(**settings.declared(), force_epochs=settings.epochs is not None)


def _open(declaration: Declaration, settings: Settings, store: Store | None, record: StudyRecord | None) -> Opened:
    standing = Standing()
    if store and record:
        _check_same(record, declaration, settings)
        standing = read_standing(store, record)
    declaration = _counting(declaration, settings, standing)
    search = Search(
        declaration,
        fixed=settings.fixed,
        trials=standing.trials(),
        attributes=standing.attributes,
        keys=record.keys if record else None,
        space=record.space if record else None,
        changed=record is not None and record.declaration.hash != declaration.hash,
        trial_seed=settings.trial_seed,
        widen=settings.yes,
        advise=lambda params: advise(declaration, settings, standing.runs, params),
    )
    for number in standing.hopeless:
        search.teach(number)
    ledger = Ledger(standing.runs)
    others = Others(search, ledger)
    others.take_over(standing.theirs)
    writer = None
    if store and record:
        taken = claim(store, record, new_owner())
        writer = StudyWriter(
            store, taken, search.storage, ledger, standing.known, standing.attributes, others, standing.moved
        )
    opened = Opened(declaration, settings, search, ledger, writer, others)
    if writer is not None:
        try:
            opened.hold(writer.store)
        except StudyError:
            writer.release()
            raise
    search.enqueue(declaration.enqueue)
    # A start that names runs has looked up their parameters by now: see `sweep.cli.parameters`.
    search.enqueue(cast("Sequence[Mapping[str, Value]]", settings.enqueue), again=True)
    return opened


def _find(storage: str, name: str) -> tuple[Store | None, StudyRecord | None]:
    """The store and the study in it, where they are there; nothing is created."""
    if not has_schema(parse_url(storage)):
        return None, None
    store = Store(storage)
    try:
        record = find_study(store, name)
    except BaseException:
        store.close()
        raise
    if record is None:
        store.close()
        return None, None
    return store, record


def _check_same(record: StudyRecord, declaration: Declaration, settings: Settings) -> None:
    for part in ("objective", "direction"):
        before, now = getattr(record.declaration, part), getattr(declaration, part)
        if before != now:
            raise StudyError(
                f"Study {record.name} has the {part} {', '.join(before)}, and the study file now says "
                f"{', '.join(now)}.",
                hint=new_study(declaration, settings, seeds=False),
            )


def check_total(name: str, trials: int | None, done: int) -> None:
    """Refuse a total of trials below those that a study has: it would only take trials that are done out of its budget.

    Raises:
        StudyError: `trials` are given and fewer than `done`.
    """
    if trials is not None and trials < done:
        raise StudyError(
            f"{name} already has {done} of its trials, and {trials} is fewer: the total counts earlier ones.",
            hint=f"Give more than {done} to train more, or another --name to begin anew.",
        )


def _counting(declaration: Declaration, settings: Settings, standing: Standing) -> Declaration:
    """The declaration with a total of no less than is done, as where it was raised once and the file still has less.

    Raises:
        StudyError: the settings themselves ask for less.
    """
    check_total(declaration.name, settings.trials, standing.done)
    return declaration.replaced(trials=max(declaration.trials, standing.done))


def _seeded(declaration: Declaration, record: StudyRecord | None) -> Declaration:
    if declaration.seed is not None:
        return declaration
    kept = record.declaration.seed if record else None
    return declaration.replaced(seed=kept if kept is not None else secrets.randbelow(2**31))


def check_writable(directory: Path) -> None:
    """See that a directory can be written, or made; what does not exist is not made.

    Raises:
        StudyError: it cannot.
    """
    nearest = directory.resolve()
    while not nearest.exists():
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise StudyError(
            f"Cannot write to the log directory {directory}: {got}.", "Choose another with --logdir."
        ) from None
