"""A TensorBoard plugin that shows nothing: it lets TensorBoard open as many event files as there may be runs.

TensorBoard keeps each event file open, whichever loader it uses. A shell usually allows 1,024 open files, so with more
runs than that a plain `tensorboard --logdir` shows a thousand runs, then none, then a thousand. TensorBoard loads the
plugins of every installed package, and asks them about its options before it opens a file: this one raises the limit
then, as far as the user may, and says so where that is not enough.
"""

import argparse
import os
import sys

from tensorboard.plugins import base_plugin

from sweep.descriptors import raise_limit

_MOST = 2**20
_SPARE = 64  # files and sockets that TensorBoard has open besides


class ManyRuns(base_plugin.TBLoader):  # type: ignore[misc]
    """Raises the limit of open files when TensorBoard starts."""

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Raise the limit, and print a line if the log directory has more event files all the same."""
        limit = raise_limit(_MOST)
        logdir = getattr(flags, "logdir", "")
        if limit == _MOST or not logdir:
            return
        count = sum("tfevents" in name for _, _, names in os.walk(logdir, followlinks=True) for name in names)
        if count + _SPARE > limit:
            print(
                f"sweep: {logdir} has {count} event files, and TensorBoard keeps each open, but this shell allows "
                f"{limit}.\n       Use `sweep tensorboard`, or raise the limit first: ulimit -Hn {2 * count}",
                file=sys.stderr,
            )

    def load(self, context: base_plugin.TBContext) -> None:
        """There is no plugin to show."""
