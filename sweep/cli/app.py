"""The commands. Each imports what it needs when it runs, so that `sweep --help` is quick."""

import typer

from sweep.cli import clean, control, db, read, serve, start

HELP = """Hyperparameter sweeps for Keras, whose runs are named after what ran.

\b
sweep start studies/diabetes.py      train
sweep runs diabetes '^dnn'           look at the runs whose name begins with dnn
sweep tensorboard diabetes '^dnn'    see the same runs in TensorBoard
sweep serve --studies studies        all of it in a browser
"""

app = typer.Typer(
    help=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command(cls=start.StartCommand, context_settings={"max_content_width": start.WIDTH})(start.start)
for look in (read.runs, read.show, read.best, read.watch, read.studies, read.names, read.export):
    app.command()(look)
for act in (
    control.tensorboard,
    control.prune,
    control.keep,
    control.revive,
    control.rerun,
    control.stop,
    clean.rm,
    clean.clean,
    serve.serve,
):
    app.command()(act)
app.add_typer(db.app, name="db")
