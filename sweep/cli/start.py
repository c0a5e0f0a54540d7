"""`sweep start`: train a study."""

from typing import Annotated

import typer

from sweep.cli import on_ray, options

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Keep a parameter at one value. Repeatable.", show_default=False),
]
Enqueue = Annotated[
    list[str] | None,
    typer.Option(
        "--enqueue",
        metavar="PARAMETERS",
        help="Try this first: NAME=VALUE,NAME=VALUE (others are proposed), a run name, or @FILE.json. Repeatable.",
        show_default=False,
    ),
]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="STUDY:best:N",
        help="Try the parameters of another study's best runs first.",
        show_default=False,
    ),
]


def start(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The study file.", show_default=False)],
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", help="The study's total of trials; earlier ones count.", show_default=False),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin no trial after this long: 90, 10m, 2h.", show_default=False),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs of a trial.", show_default=False)] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that train; 0 trains in this one. [default: one a core or GPU]"),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Train on these GPUs, such as 2,3. [default: all that are free]"),
    ] = None,
    per_gpu: Annotated[int, typer.Option("--per-gpu", metavar="N", help="Workers that share a GPU.")] = 1,
    sampler: Annotated[
        str | None, typer.Option(metavar="SPEC", help="tpe, random, cmaes, grid(...), ...", show_default=False)
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="median(n_startup_trials=5), hyperband, nop, ...", show_default=False),
    ] = None,
    broken: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="What severe findings do: prune the run (the default), report, or ignore.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The study's seed.", show_default=False)] = None,
    retries: Annotated[int, typer.Option(metavar="N", help="Try a trial that raises again, so many times.")] = 0,
    trial_timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End a trial that reports nothing for this long.", show_default=False),
    ] = None,
    fixed: Set = None,
    enqueue: Enqueue = None,
    best_of: From = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The study's name, if not the file's.", show_default=False)
    ] = None,
    keep: Annotated[
        str, typer.Option(metavar="WHICH", help="Whose weights stay: best:N, all or none; see sweep.load.")
    ] = "all",
    storage: options.Storage = options.DEFAULT_STORAGE,
    logdir: options.Logdir = options.DEFAULT_LOGDIR,
    names: options.Names = False,
    log_format: options.LogFormat = "text",
    detach: Annotated[
        bool, typer.Option("--detach", help="Train in the background, also when this terminal closes; see sweep watch.")
    ] = False,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            show_default=False,
            help="Run this at the end and after five failures in a row, with SWEEP_MESSAGE and SWEEP_EVENT set.",
        ),
    ] = None,
    on: on_ray.On = "here",
    address: on_ray.Address = None,
    gpus_per_worker: on_ray.Gpus = None,
    cpus_per_worker: on_ray.Cpus = 1.0,
    resources: on_ray.Resources = None,
    shared_logdir: on_ray.Shared = False,
    dashboard: on_ray.Dashboard = False,
    server: options.Server = None,
) -> None:
    """Train a study, or go on with it.

    Ctrl-C once stops after the running epochs, and what was running goes on from there when the study does; Ctrl-C
    twice stops at once. With --server the service trains it, and FILE is one of its folder.

    \b
    Example: sweep start studies/diabetes.py --trials 50 --pruner 'median(n_startup_trials=5)'
             sweep start studies/diabetes.py --on ray --address HOST:6379 --workers 64 --gpus-per-worker 0.5
             sweep start studies/diabetes.py --detach --notify 'mail -s "$SWEEP_MESSAGE" me@example.org </dev/null'
    """
    from sweep.cli.starting import Showing, run
    from sweep.control.opening import Settings

    settings = Settings(
        storage=storage,
        logdir=logdir,
        name=name,
        trials=trials,
        epochs=epochs,
        timeout=seconds(timeout) if timeout is not None else None,
        workers=workers,
        sampler=sampler,
        pruner=pruner,
        seed=seed,
        gpus=[name.strip() for name in gpus.split(",")] if gpus is not None else None,
        per_gpu=per_gpu,
        keep=keep,
        retries=retries,
        trial_timeout=seconds(trial_timeout) if trial_timeout is not None else None,
        cluster=on_ray.cluster_of(
            on,
            address,
            gpus_per_worker,
            cpus_per_worker,
            resources or [],
            shared=shared_logdir,
            dashboard=dashboard,
        ),
    )
    if server is not None:
        from sweep.cli.starting_there import start_there
        from sweep.errors import SweepError

        if detach or notify is not None or log_format != "text":
            raise SweepError("--detach, --notify and --log-format are for a study that is started here", "--server")
        start_there(server, file, settings, fixed or [], enqueue or [], best_of or [])
        return
    if detach:
        from pathlib import Path

        from sweep.cli.detaching import detach as detach_this
        from sweep.study import check_file

        check_file(file)
        detach_this(name or Path(file).stem, storage, logdir)
        return
    showing = Showing(names=names, log_format=log_format, notify=notify)
    status = run(file, settings, fixed or [], enqueue or [], best_of or [], showing)
    if status:
        raise typer.Exit(status)


def seconds(text: str) -> float:
    """A time such as `90`, `10m`, `1.5h` or `2d` in seconds.

    Raises:
        StudyError: it is none.
    """
    from sweep.errors import StudyError

    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise StudyError("a time is a number above 0 with s, m, h or d behind it", repr(text), "e.g. 90, 10m or 2h")
    return value
