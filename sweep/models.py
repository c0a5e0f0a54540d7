"""`sweep.load`: the trained models of runs, by what a person calls them.

sweep.load("dnn-4x32_16-lr=0.00118-bs=32-t0017")      by the run's name, or its directory
sweep.load("diabetes:best")                           the study's best run
sweep.load("diabetes:best:3")                         a list of its three best
sweep.load("diabetes:confirmed")                      the one that `sweep confirm` has found to be the best
sweep.load("diabetes:t0012")                          by trial number; "diabetes:12" is the same
"""

import json
import os
import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.control.folder import databases
from sweep.errors import RunNameError, StoreError, StudyError, SweepError, printed
from sweep.names import decode, format_number
from sweep.provenance import check_free, record
from sweep.provenance import write as write_record
from sweep.rundir import kept_trainings, weights_file
from sweep.snapshot import Snapshot
from sweep.store import RepeatRecord, RunRecord, Store, StudyRecord, Training
from sweep.store.database import parse_url
from sweep.store.typed_url import shown
from sweep.view.repeats import ranked_runs
from sweep.view.runs import find_run, find_runs, run_number
from sweep.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

    from sweep.train.source import Source
    from sweep.worker.weights import Weights

_BEST = re.compile(r"(?P<study>[^:]+):(?P<which>best|confirmed)(?::(?P<count>[1-9][0-9]{0,8}))?")
_RUN = re.compile(r"(?P<study>[^:]+):(?P<run>[^:]+)")


@dataclass(frozen=True)
class Kept:
    """A run, and where its kept models are.

    Attributes:
        directory: its own.
        study, run: as the database has them; None for a directory that no database is known to have.
        snapshot: of its study file, where the database has one.
    """

    directory: Path
    study: StudyRecord | None = None
    run: RunRecord | None = None
    snapshot: Snapshot | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.directory.name

    def recorded(self) -> tuple[StudyRecord, RunRecord]:
        """Its study and its run in a database.

        Raises:
            StudyError: no database is known to have it.
        """
        if self.study is None or self.run is None:
            raise StudyError(f"No database is known to have {self.name}.", hint="Name it with storage=.")
        return self.study, self.run

    def training(self, wanted: int | str | None) -> int:
        """The number, from 0, of the training to load.

        Args:
            wanted: its number, also counted from the last one as -1, or its label; None for the last one.

        Raises:
            StudyError: there is no such training, or its model is not kept.
        """
        trainings = self.run.trainings if self.run is not None else []
        count = max([len(trainings), *(number + 1 for number in kept_trainings(self.directory))])
        if isinstance(wanted, str):
            numbers = [one.number for one in trainings if one.label == wanted]
            if not numbers:
                labels = ", ".join(repr(one.label) for one in trainings if one.label is not None)
                raise StudyError(
                    f"{self.name} has no training labelled {wanted!r}.", hint=f"Its labels are {labels or 'none'}."
                )
            number = numbers[-1]
        else:
            number = count - 1 if wanted is None else wanted + count if wanted < 0 else wanted
        if count and not 0 <= number < count:
            raise StudyError(
                f"{self.name} has {counted(count, 'training')}, so there is no training={wanted}.",
                hint=f"They are counted from 0 to {count - 1}.",
            )
        self._check_kept(max(0, number))
        return max(0, number)

    def _check_kept(self, number: int) -> None:
        if weights_file(self.directory, number).is_file():
            return
        run = self.run
        if run is not None and run.state not in ("COMPLETE", "PRUNED", "FAIL"):
            raise StudyError(f"{self.name} is {run.state}.", hint="Its model can be loaded when it has ended.")
        if run is not None and run.state == "FAIL":
            raise StudyError(f"{self.name} failed, and a failed run keeps no model: {run.why}")
        if not self.directory.is_dir():
            raise StudyError(f"The directory of {self.name} is gone: {self.directory}.")
        raise StudyError(
            f"No weights of {self.name} are kept in {self.directory}.",
            hint="Those of each run are unless `sweep start --keep` says otherwise: best:N removes those of the "
            "others, none keeps none.",
        )

    def weights(self, training: int | str | None) -> "Weights":
        """What is kept of one of its trainings.

        Raises:
            StudyError: see `training`; or the file is damaged.
        """
        from sweep.worker.weights import load_weights

        number = self.training(training)
        found = load_weights(self.directory, number)
        if found is None:
            raise StudyError(f"{weights_file(self.directory, number)} is damaged.")
        return found

    def source(self) -> "Source":
        """Its study file, imported from the snapshot.

        Raises:
            StudyError: it cannot be imported.
        """
        from sweep.train.source import source_of

        return source_of(self.snapshot, self.study.declaration.file if self.study is not None else None)


def load(
    run: str | Path,
    *,
    model: "keras.Model | None" = None,
    training: int | str | None = None,
    rebuild: bool = False,
    check: bool = True,
    storage: str | None = None,
) -> Any:
    """The trained model of a run, with the weights of its best epoch (`Study(result="last")`: of its last).

        model = sweep.load("diabetes:best")
        model.predict(x)

    Where the model has layers, losses or functions of your own, the study file is imported as it was when the run
    trained. If its loss cannot be found there, the model is not compiled, and a warning says so.

    Args:
        run: the run's name or directory; or `"STUDY:best"`, `"STUDY:t0012"`, `"STUDY:12"`; or `"STUDY:best:3"` for a
            list of the models of the three best runs, or of as many as there are. `"STUDY:confirmed"` is the run with
            the best mean of those that `sweep confirm` has repeated, in place of that with the best value. The full
            name or the directory of a repeat gives that one's model.
        model: takes the weights; needed where Keras cannot build the model from its configuration, as with a subclass
            without a `get_config`.
        training: which one of a run that trained several models: its number from 0, or from the last one as -1, or its
            label; by default the last one.
        rebuild: have the study's `train` build the model, up to its `sweep.fit`, which works for every model and loads
            the study's data.
        check: predict for the rows that were recorded in the worker and refuse a model that predicts something else.
        storage: the database; by default SWEEP_STORAGE, or `sqlite:///sweep.db`.

    Returns:
        The model, or a list of models for `"STUDY:best:N"`. Of a run that trained with `sweep.epochs` it is the state
        that was reported after that epoch, as a dict.

    Raises:
        StudyError: the run has kept no such model, Keras cannot build it, or it predicts something else than it did.
        StoreError: there is no such database, study or run.
    """
    several = find(run, storage)
    if is_list(run) and model is not None:
        raise StudyError(f"model= takes the weights of one run, and {run} names several.")
    found = []
    for kept in several:
        found.append(loaded(kept, model=model, training=training, rebuild=rebuild, check=check))
    return found if is_list(run) else found[0]


def loaded(
    kept: Kept,
    *,
    model: "keras.Model | None" = None,
    training: int | str | None = None,
    rebuild: bool = False,
    check: bool = True,
) -> Any:
    """The trained model of one run, see `load`."""
    weights = kept.weights(training)
    if weights.state is not None:
        if model is not None or rebuild:
            raise StudyError(
                f"{kept.name} was trained with sweep.epochs, and has kept a state, which is no model of Keras.",
                hint="Leave model= and rebuild= out.",
            )
        return _state(weights)
    from sweep.train.restore import restore

    given = _rebuilt(kept, kept.training(training)) if rebuild else model
    return restore(weights, kept.name, kept.source, model=given, check=check)


def _state(weights: "Weights") -> dict[str, Any]:
    """What `sweep.epochs` was given after the epoch that counts."""
    from sweep.worker.weights import kept_arrays

    return {**(weights.state or {}), **kept_arrays(weights)}


def _rebuilt(kept: Kept, number: int) -> "keras.Model":
    """The model of one of a run's trainings as the study's `train` builds it."""
    from sweep.train.retrain import Rebuilding, built_by
    from sweep.train.source import active
    from sweep.worker.weights import load_weights

    study, run = kept.recorded()
    source, train = _source_and_train(kept, study)
    trainings = _trainings(study, run)
    with active(source):
        rebuilding = Rebuilding(trainings, number, lambda one: load_weights(kept.directory, one), kept.name)
        return built_by(train, run, rebuilding)


def _source_and_train(kept: Kept, study: StudyRecord) -> "tuple[Source, Callable[[Any], Any]]":
    source = kept.source()
    if source.study is None:
        raise StudyError(
            f"No file of study {study.name} binds it to the name `study`, so its train is not known.",
            hint="Pass the function as train= to sweep.retrain, or a model as model= to sweep.load.",
        )
    return source, source.study.train


def retrain(
    run: str | Path,
    *,
    train: "Callable[[Any], Any] | None" = None,
    epochs: int | None = None,
    storage: str | None = None,
) -> "keras.Model":
    """Train a run's parameters once more, on all the data: the rows that it trained on and those it validated with.

        model = sweep.retrain("diabetes:best")

    The study's `train` runs with the run's parameters and seed, and `sweep.fit` trains on `x` and `validation_data`
    together (or on all of `x`, without a `validation_split`). As nothing is left to validate with, it trains as many
    epochs as the run took to its best one, and says so; with folds it trains one model for the median of theirs.
    EarlyStopping and callbacks that watch a `val_` metric are left out. Data that cannot be joined, as those of
    generators, `train` joins itself: `trial.retraining` is set in a retraining, and None in a trial.

    Args:
        run: as for `sweep.load`.
        train: the function to run; by default that of the study file, as it was when the run trained.
        epochs: how many epochs to train instead.
        storage: as for `sweep.load`.

    Returns:
        The trained model; of several trainings that are no folds, the last one's.

    Raises:
        StudyError: the study file cannot be imported, or `train` trains otherwise than the run did.
        StoreError: there is no such database, study or run.
    """
    from sweep.train.retrain import Retraining, built_by
    from sweep.train.source import active

    if is_list(run):
        raise StudyError(f"{run} names several runs; one can be retrained at a time.")
    (kept,) = find(run, storage)
    study, record = kept.recorded()
    if record.state not in ("COMPLETE", "PRUNED"):
        raise StudyError(f"{kept.name} is {record.state}, so its number of epochs is not known.")
    if epochs is not None and (isinstance(epochs, bool) or epochs < 1):
        raise StudyError(f"epochs must be a whole number of at least 1, not {epochs!r}.")
    retraining = Retraining(_trainings(study, record), epochs)
    if train is not None:
        return built_by(train, record, retraining)
    source, train = _source_and_train(kept, study)
    with active(source):
        return built_by(train, record, retraining)


def _trainings(study: StudyRecord, run: RunRecord) -> list[Training]:
    """A run's trainings; the only one of a run of an earlier version."""
    if run.trainings:
        return list(run.trainings)
    last = study.declaration.value == "last" or run.best_epoch is None
    best = max(0, run.epoch - 1) if last else run.best_epoch
    return [Training(0, epochs=run.epoch, architecture=run.architecture, value=run.value, best_epoch=best)]


def is_list(run: str | Path) -> bool:
    """Whether a reference names several runs: `STUDY:best:N` or `STUDY:confirmed:N`."""
    match = _BEST.fullmatch(str(run))
    return match is not None and match["count"] is not None


def find(run: str | Path, storage: str | None = None) -> list[Kept]:
    """The runs that a reference names: one, or of `STUDY:best:N` as many of N as there are.

    Raises:
        StoreError: there is no such database, study or run, or several have that name.
        StudyError: the study has no complete run yet.
    """
    if Path(run).is_dir():
        return [_of_directory(Path(run), storage)]
    store = Store(storage_url(storage))
    try:
        if (kept := _repeat_named(store, str(run))) is not None:
            return [kept]
        return [_kept(store, study, found) for study, found in _named(store, str(run))]
    finally:
        store.close()


def storage_url(given: str | None = None) -> str:
    """The database: the one that is given, or that of the environment."""
    return given or os.environ.get("SWEEP_STORAGE", "sqlite:///sweep.db")


def _named(store: Store, text: str) -> list[tuple[StudyRecord, RunRecord]]:
    if match := _BEST.fullmatch(text):
        study = store.study(match["study"])
        ranked = ranked_runs(study, store.runs(study.study_id), match["which"])
        return [(study, best) for best in ranked[: int(match["count"] or 1)]]
    if match := _RUN.fullmatch(text):
        return [find_run(store, match["run"], match["study"])]
    if store.find_study(text) is not None:
        raise StudyError(f"{text} is a study.", hint=f"Name one of its runs, for example {text}:best.")
    found = find_runs(store, store.studies(), text)
    if len(found) > 1:
        names = " or ".join(f"{study.name}:{text}" for study, _ in found)
        raise StoreError(f"{len(found)} studies have a run {text}.", hint=f"Name it {names}.")
    return found or [find_run(store, text)]


def _repeat_named(store: Store, text: str) -> Kept | None:
    """The repeat of a run whose full name a text is; None if it is none."""
    try:
        name = decode(text)
    except RunNameError:
        return None
    if name.repeat is None:
        return None
    every = (
        (study, one)
        for study in store.studies()
        for run in store.runs(study.study_id, [name.number])
        for one in run.repeats
    )
    return next((_repeat(store, study, one) for study, one in every if one.name == text and one.directory), None)


def _repeat(store: Store, study: StudyRecord, one: RepeatRecord) -> Kept:
    text = store.snapshot(one.snapshot) if one.snapshot is not None else None
    return Kept(Path(str(one.directory)), study, None, Snapshot.from_text(text) if text is not None else None)


def _kept(store: Store, study: StudyRecord, run: RunRecord) -> Kept:
    if run.directory is None:
        raise StudyError(f"{format_number(run.number)} of {study.name} is {run.state}, and has no name yet.")
    text = store.snapshot(run.snapshot) if run.snapshot is not None else None
    return Kept(Path(run.directory), study, run, Snapshot.from_text(text) if text is not None else None)


def _of_directory(directory: Path, storage: str | None) -> Kept:
    """The run of a directory, or its repeat, as the first database knows it that has it."""
    resolved = directory.resolve()
    there = [url for folder in (resolved.parent, resolved.parent.parent) for url in databases(folder)]
    for url in dict.fromkeys([storage_url(storage), *there]):
        try:
            store = Store(url)
        except SweepError:
            continue
        try:
            number = run_number(resolved.name)
            for study in store.studies():
                for run in store.runs(study.study_id, [number] if number is not None else None):
                    if run.directory is not None and Path(run.directory).resolve() == resolved:
                        return _kept(store, study, run)
                    for one in run.repeats:
                        if one.directory is not None and Path(one.directory).resolve() == resolved:
                            return _repeat(store, study, one)
        finally:
            store.close()
    return Kept(directory)


def main() -> None:
    """`python -m sweep.models RUN FILE`: save a run's model for those who load no Keras themselves.

    Writes beside it which run it is of, and prints `epoch` (from 0), `checked`, `record` (that file) and `notes` as
    one line of JSON, which is the last one.
    """
    run, file = sys.argv[1:]
    try:
        (kept,) = find(run)
        check_free(Path(file))
        number = kept.training(None)
        weights = kept.weights(number)
        if weights.state is not None:
            saved = _save_state(weights, kept.name, Path(file))
        elif file.endswith(".npz"):
            raise StudyError(f"Keras saves a model as .keras or .h5, not as {file}.", hint="Try --save model.keras.")
        else:
            from sweep.train.model_file import save

            saved = save(weights, kept.name, kept.source, Path(file))
        about = {**saved, "epoch": saved["epoch"] + 1, "training": number}
        place = shown(parse_url(storage_url()))
        beside = write_record(Path(file), record(kept.study, kept.run, kept.name, about, place=place))
        notes = [*_of_several(kept, run, number), *saved["notes"]]
        print(json.dumps({"epoch": saved["epoch"], "checked": saved["checked"], "record": str(beside), "notes": notes}))
    except (SweepError, OSError) as error:
        sys.exit(printed(error) if isinstance(error, SweepError) else f"sweep: {error}")


def _save_state(weights: "Weights", name: str, file: Path) -> dict[str, Any]:
    """Write what `sweep.epochs` kept as a file of NumPy, and read it back; returns what `model_file.save` does.

    Raises:
        StudyError: the file is to be one of Keras.
        OSError: the file cannot be written.
    """
    import numpy as np

    from sweep.worker.weights import kept_arrays

    if file.suffix != ".npz":
        raise StudyError(f"{name} was trained without Keras, so {file} cannot hold it.", hint="Try --save state.npz.")
    arrays = kept_arrays(weights)
    beside = file.with_name(f".{file.stem}.{os.getpid()}.npz")
    try:
        with zipfile.ZipFile(beside, "w") as archive:  # np.savez has names that an array cannot have
            for entry, array in arrays.items():
                with archive.open(f"{entry}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            if weights.state:
                archive.writestr("state.json", json.dumps(weights.state))
        with np.load(beside) as back:
            same = all(np.array_equal(back[entry], array) for entry, array in arrays.items())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    rest = ", and what is no array as JSON in state.json" if weights.state else ""
    note = f"Read it with numpy.load({str(file)!r}): it has {', '.join(arrays) or 'no arrays'}{rest}."
    shapes = [{"name": name, "shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays.items()]
    return {"epoch": weights.epoch, "checked": same, "notes": [note], "arrays": shapes}


def _of_several(kept: Kept, run: str, number: int) -> list[str]:
    """What a reader should know of a model that is one of several."""
    from sweep.train.retrain import are_folds

    trainings = kept.run.trainings if kept.run is not None else []
    if len(trainings) < 2:
        return []
    label = next((one.label for one in trainings if one.number == number), None)
    if not are_folds(trainings):
        which = f", {label!r}" if label else ""
        return [f"It is training {number + 1} of {len(trainings)}{which}. Others: sweep.load({run!r}, training=0)."]
    which = label or f"fold {number + 1} of {len(trainings)}"
    return [f"It has the weights of {which}. To train one model on all data: model = sweep.retrain({run!r})."]


if __name__ == "__main__":
    main()
