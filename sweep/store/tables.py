"""Our tables, which stand beside Optuna's in one database and all begin with `sweep_`.

Optuna's own tables hold the trials: their parameters, values, intermediate values and states. Ours hold what Optuna
has no place for: the study as its file declared it, the run of each trial, every metric of every epoch, who owns a
running study, and commands to it. Rows are addressed by Optuna's `study_id` and the trial number.

A float that may be NaN or infinite is two columns, a nullable number and a kind (`nan`, `inf`, `-inf`; NULL if the
number is there), since SQL has no order for them and SQLite stores NaN as NULL. `split_float` and `join_float` convert.
"""

import math

import sqlalchemy as sa

metadata = sa.MetaData()

_Kind = sa.String(4)
_Double: sa.Double[float] = sa.Double()

studies = sa.Table(
    "sweep_studies",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("declaration", sa.Text, nullable=False),  # JSON, `sweep.study.Declaration`
    sa.Column("keys", sa.Text, nullable=False),  # JSON, parameter name -> key in run names
    sa.Column(
        "space", sa.Text, nullable=False
    ),  # JSON, parameter name -> list of the distributions it was suggested with
    sa.Column("directory", sa.Text, nullable=False),  # the study's folder in the log directory: see `sweep.store.paths`
    sa.Column("created", _Double, nullable=False),  # Unix seconds
    sa.Column("owner", sa.Text),  # JSON, the coordinator that has the study: token, host, pid; NULL if none
    sa.Column("beat", sa.Integer, nullable=False, default=0),  # counts up while the owner lives
    sa.Column("beaten", _Double),  # when it last did, in Unix seconds by the database's clock
)

runs = sa.Table(
    "sweep_runs",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(255)),  # NULL until `sweep.fit`, the first report or the end of the objective
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("directory", sa.Text),  # relative to the study's folder: see `sweep.store.paths`
    sa.Column("family", sa.Text),
    sa.Column("architecture", sa.Text),
    sa.Column("params", sa.Text, nullable=False),  # JSON
    sa.Column("seed", sa.BigInteger),
    sa.Column("epoch", sa.Integer, nullable=False),  # finished epochs
    sa.Column("epochs", sa.Integer),  # planned epochs
    sa.Column("last", _Double),
    sa.Column("last_kind", _Kind),
    sa.Column("best", _Double),  # finite, or NULL
    sa.Column("best_epoch", sa.Integer),  # counts from 0
    sa.Column("reason", sa.Text),
    sa.Column("findings", sa.Text),  # JSON, list of `sweep.finding.Finding`, the gravest first; NULL if none
    sa.Column("traceback", sa.Text),
    sa.Column("worker", sa.Text),
    sa.Column("started", _Double),  # Unix seconds
    sa.Column("duration", _Double),  # seconds by the monotonic clock, all attempts that count
    sa.Column("snapshot", sa.String(64)),  # of `sweep_snapshots`
    sa.Column("revives", sa.Integer),  # the pruned run that it goes on with
    sa.Column("interruptions", sa.Text),  # JSON, list of how each earlier attempt ended; NULL if there was none
    sa.Column("values", sa.Text),  # JSON, list of what `train` returned, `Infinity` where it is; NULL unless COMPLETE
    sa.Column("constraints", sa.Text),  # JSON, constraint name -> value, met where it is 0 or less; NULL if none
    sa.Column("trainings", sa.Text),  # JSON, list of `sweep.store.Training`; NULL if none is known
    sa.Column("verdict", sa.Text),  # JSON, `sweep.core.pruners.Verdict`; NULL unless a pruner stopped or paused it
    sa.Column("rungs", sa.Text),  # JSON, list of `sweep.core.pruners.asha.RungEntry`; NULL if it has entered none
)
sa.Index("sweep_runs_name", runs.c.study_id, runs.c.name)

metrics = sa.Table(
    "sweep_metrics",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),  # counts from 0
    sa.Column("metric", sa.String(255), primary_key=True),
    sa.Column("value", _Double),
    sa.Column("kind", _Kind),
    sqlite_with_rowid=False,
)

repeats = sa.Table(
    "sweep_repeats",
    metadata,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("repeat_of", sa.Integer, primary_key=True, autoincrement=False),  # the run's number
    sa.Column("repeat", sa.Integer, primary_key=True, autoincrement=False),  # counts from 1
    sa.Column("seed", sa.BigInteger, nullable=False),  # the same in the repeat of that number of every run
    sa.Column("name", sa.String(255)),  # NULL where it failed before it had one
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("directory", sa.Text),  # relative to the study's folder: see `sweep.store.paths`
    sa.Column("value", _Double),  # what `train` returned; NULL unless it is COMPLETE and the number finite
    sa.Column("epoch", sa.Integer, nullable=False),  # finished epochs
    sa.Column("reason", sa.Text),
    sa.Column("started", _Double),  # Unix seconds
    sa.Column("duration", _Double),  # seconds
    sa.Column("snapshot", sa.String(64)),  # of `sweep_snapshots`: the files that it trained with
    sa.Column("test", sa.Text),  # JSON, name -> what the study file's `test` returned; NULL until it was called
    sa.Column("of_value", sa.Boolean, nullable=False, server_default=sa.false()),  # it is part of the run's value
)

snapshots = sa.Table(
    "sweep_snapshots",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),  # JSON, `sweep.snapshot.Snapshot`
)

commands = sa.Table(
    "sweep_commands",
    metadata,
    sa.Column("command_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("verb", sa.String(16), nullable=False),  # prune, protect (once: keep), revive; or stop, without a number
    sa.Column("number", sa.Integer),  # the run
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created", _Double, nullable=False),  # Unix seconds
)


# Optuna's, as far as they are read without Optuna, which takes a second to import.
optuna_studies = sa.table("studies", sa.column("study_id", sa.Integer), sa.column("study_name", sa.String))
optuna_trials = sa.table(
    "trials",
    *(sa.column(name, sa.Integer) for name in ("trial_id", "study_id", "number")),
    sa.column("datetime_complete", sa.DateTime),  # UTC, without a zone
)
optuna_attributes = sa.table(
    "trial_user_attributes", sa.column("trial_id", sa.Integer), sa.column("key", sa.String), sa.column("value_json")
)


def split_float(value: float | None) -> tuple[float | None, str | None]:
    """Split a float into its two columns, number and kind."""
    if value is None or math.isfinite(value):
        return value, None
    if math.isnan(value):
        return None, "nan"
    return None, "inf" if value > 0 else "-inf"


def join_float(value: float | None, kind: str | None) -> float | None:
    """Join the two columns of a float; the inverse of `split_float`."""
    return value if kind is None else float(kind)
