"""The process `python -m sweep.control.tensorboard_process ARGUMENTS`: TensorBoard without TensorFlow.

TensorBoard looks for a module `tensorboard.compat.notf`, which its build without TensorFlow has, and then uses its own
replacements. Everything that `sweep` writes is shown all the same; TensorBoard starts in 1.3 s instead of 8.2 s and
takes 78 MB instead of 700 MB (measured with 2.21 on an empty log directory, two cores).

The process ends when the one that started it does, whatever became of that.
"""

import os
import sys
import threading
import time
import types
from typing import Any

PREFIX_VARIABLE = "SWEEP_TENSORBOARD_PREFIX"
"""The environment variable with the path that all addresses begin with, which other users cannot read."""


def end_with(parent: int) -> None:
    """End this process as soon as `parent` is no longer its parent."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> None:
    """Run TensorBoard until it is told to end."""
    threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
    sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")
    from tensorboard.backend import path_prefix
    from tensorboard.main import run_main

    class Prefix(path_prefix.PathPrefixMiddleware):  # type: ignore[misc]
        """Answers under the prefix alone, but for fonts, which TensorBoard's page asks for without it."""

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            if environ.get("PATH_INFO", "").startswith("/font-roboto/"):
                return self._application(environ, start_response)
            return super().__call__(environ, start_response)

    path_prefix.PathPrefixMiddleware = Prefix
    os.umask(0o077)  # TensorBoard writes where it is to a file in the folder for temporary files
    sys.argv += ["--path_prefix", os.environ.pop(PREFIX_VARIABLE)]
    run_main()


if __name__ == "__main__":
    main()
