"""A worker process: loads the study file, then trains trials until the coordinator has no more.

    python -m sweep.worker FILE --connect ADDRESS --worker NAME [--snapshot FILE]

It is started by an executor, in a session of its own. Ctrl-C is for the coordinator, which tells its workers what to
do.
"""

import gc

gc.disable()  # until all is loaded: some 600,000 objects that stay, whose garbage need not be looked for meanwhile

from sweep.worker.process import main  # noqa: E402

main()
