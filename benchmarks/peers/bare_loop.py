"""The limit: the bare compiled epoch loop in a process for each core, with no names, events, reports or store."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from nets import build, data, parameter_sets

trials, epochs, recurring = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "recurring"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(core: int) -> None:
    """Train every CORES-th parameter set."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    import keras

    from sweep.train import compiled

    x, y, x_val, y_val = data()
    for params in parameter_sets(trials, recurring=recurring)[core::CORES]:
        keras.utils.clear_session()
        compiled.fit(build(**params), x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs)


if __name__ == "__main__":
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=share, args=(core,)) for core in range(CORES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("done", trials)
