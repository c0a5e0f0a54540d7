"""`sweep simulate`: what other pruners, samplers and budgets would have done with a study's learning curves."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli import options
from sweep.cli.grid import Column, Grid
from sweep.cli.output import remarks, show_grid, show_json
from sweep.cli.tables import no_room
from sweep.cli.target import named_study
from sweep.errors import SweepError
from sweep.words import counted

if TYPE_CHECKING:
    from sweep.simulate.bank import Bank
    from sweep.simulate.simulated import Simulated

PRUNERS = ("asha", "halving", "hyperband", "median", "nop")


def simulate(
    study: options.StudyName = None,
    curves: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Take the learning curves of a JSON file instead.", show_default=False),
    ] = None,
    pruner: Annotated[
        list[str],
        typer.Option(metavar="SPEC", help=f"Repeatable. [default: {', '.join(PRUNERS)}]", show_default=False),
    ] = [],  # noqa: B006  # typer's
    sampler: Annotated[
        list[str],
        typer.Option(
            metavar="SPEC",
            help="Or recorded: the configurations in their recorded order. Repeatable. [default: the study's]",
            show_default=False,
        ),
    ] = [],  # noqa: B006  # typer's
    simulations: Annotated[int, typer.Option(min=1, metavar="N", help="How many studies, with a seed each.")] = 20,
    budget_epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="End each study when it has trained so many epochs.", show_default=False),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="End each study after so many trials. [default: with --budget-epochs no limit, else the study's]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs train at a time.")] = 1,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Try other pruners on a study's curves.

    Samplers and budgets too; nothing is trained. Runs that a pruner has stopped are left out: train the study with
    --pruner nop, or with --unpruned 10%, which leaves a random tenth alone. With --sampler recorded, what a pruner does
    is exact. Another sampler proposes, and the nearest configuration that is left is taken. A study has found the best
    when a COMPLETE run is within 0.1 standard deviations of it.

    \b
    Example: sweep simulate diabetes --pruner asha --pruner median --budget-epochs 300
             sweep simulate --curves curves.json --sampler random --json
    """
    from sweep.simulate.bank import bank_of_file, bank_of_study

    samplers = sampler
    if curves is not None:
        if study is not None:
            raise SweepError(f"Both a study, {study}, and --curves {curves} were given.", "Give one of them.")
        bank = bank_of_file(Path(curves))
        samplers = samplers or ["tpe"]
        most = trials or len(bank.curves)
    else:
        with options.opened(options.place(storage, server)) as store:
            record = named_study(store, study)
            bank = bank_of_study(record, store.runs(record.study_id), store.metrics(record.study_id))
        samplers = samplers or [record.declaration.sampler]
        most = trials or record.declaration.trials
    limit = trials if budget_epochs is not None else min(most, len(bank.curves))
    budget = budget_epochs or limit * bank.epochs  # type: ignore[operator]  # there is one or the other
    outcomes = _outcomes(bank, samplers, pruner or PRUNERS, simulations, limit, budget, workers)
    if json:
        show_json([one.as_dict() for one in outcomes])
        return
    left_out = show_grid(_grid(outcomes))
    remarks([*_about(bank, samplers, limit, budget), *no_room(left_out)])


def _outcomes(
    bank: "Bank",
    samplers: Sequence[str],
    pruners: Sequence[str],
    count: int,
    trials: int | None,
    budget: int,
    workers: int,
) -> list["Simulated"]:
    """Simulate each sampler with each pruner.

    Raises:
        StudyError: a spec is none.
    """
    from sweep.simulate.proposals import RECORDED
    from sweep.simulate.replay import replay
    from sweep.simulate.simulated import summed_up
    from sweep.specs import make_sampler, pruner_rule

    for spec in pruners:
        pruner_rule(spec)
    for spec in samplers:
        if spec != RECORDED:
            make_sampler(spec, 0)
    found = []
    for sampler in samplers:
        for pruner in pruners:
            seeds = range(1 if sampler == RECORDED else count)  # the recorded order is one
            made = []
            for seed in seeds:
                _progress(f"{pruner} with {sampler}: simulation {seed + 1} of {len(seeds)}")
                made.append(replay(bank, pruner, sampler, trials=trials, budget=budget, seed=seed, workers=workers))
            found.append(summed_up(bank, sampler, pruner, made, budget))
    _progress("")
    return found


def _progress(text: str) -> None:
    """Show what is being simulated, in one line of the terminal that the next one replaces."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _grid(outcomes: Sequence["Simulated"]) -> Grid:
    def column(header: str, cells: list[str], keep: int) -> Column:
        return Column(header, cells, right=True, keep=keep)

    columns = [
        Column("sampler", [one.sampler for one in outcomes], keep=99),
        Column("pruner", [one.pruner for one in outcomes]),
        column("found", [f"{one.found_01sd:.0%}" for one in outcomes], 98),
        column("found after", [f"{one.epochs_01sd:.0f}" for one in outcomes], 97),
        column("within 1 %", [f"{one.found_1pct:.0%}" for one in outcomes], 90),
        column("1 % after", [f"{one.epochs_1pct:.0f}" for one in outcomes], 89),
        column("regret", ["" if one.regret is None else f"{one.regret:.3f}" for one in outcomes], 96),
        column("best kept", [f"{one.survived:.0%}" for one in outcomes], 94),
        column("epochs", [f"{one.spent:.0f}" for one in outcomes], 95),
        column("complete", [f"{one.complete:.1f}" for one in outcomes], 93),
        column("none complete", [f"{one.empty:.0%}" if one.empty else "" for one in outcomes], 92),
    ]
    return Grid([one for one in columns if any(one.cells)])


def _about(bank: "Bank", samplers: Sequence[str], trials: int | None, budget: int) -> list[str | None]:
    """What the table's numbers are."""
    from sweep.simulate.proposals import RECORDED

    limit = f"{counted(trials, 'trial')} and " if trials is not None else ""
    many = f"{counted(len(bank.curves), 'learning curve')} of up to {counted(bank.epochs, 'epoch')}"
    lines: list[str | None] = [
        f"{bank.name}: {many}; each study has at most {limit}{counted(budget, 'epoch')}",
        f"found: a COMPLETE run within 0.1 sd (sd = {bank.sd:.3g}) of the best, {bank.best:.4g}; after: epochs, "
        "geometric mean, with the budget where none was",
        "regret: the best COMPLETE run's distance to the best, in sd; best kept: the best run that began is COMPLETE",
    ]
    others = [sampler for sampler in samplers if sampler != RECORDED]
    if others:
        lines.append(
            f"An approximation: what {' or '.join(others)} proposes is taken to the nearest of {len(bank.curves)} "
            "recorded configurations that is left."
        )
    if bank.drawn:
        lines.append(
            f"The curves are those of {counted(len(bank.curves), 'run')} that the pruner has left alone (--unpruned), "
            f"a random sample of the study; {bank.left_out} others are left out."
        )
    elif bank.left_out:
        lines.append(
            f"An approximation: {counted(bank.left_out, 'run')} without a whole curve left out, so that the others are "
            "not a fair sample. Train the study with --pruner nop or --unpruned 10% for exact figures."
        )
    elif RECORDED in samplers:
        lines.append("In recorded order the figures are exact for one worker: these are all runs of the study, whole.")
    return lines
