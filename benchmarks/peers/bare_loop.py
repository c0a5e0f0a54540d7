"""The limit: the bare compiled epoch loop in a process for each core, with no names, events, reports or store."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from nets import build, cores, data, on_each_core, one_thread, parameter_sets

trials, epochs, sets = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def share(core: int) -> None:
    """Train the sets of one core."""
    one_thread()
    import keras

    from sweep.train import compiled

    x, y, x_val, y_val = data()
    for params in parameter_sets(trials, sets)[core :: cores()]:
        keras.utils.clear_session()
        compiled.fit(build(**params), x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs)


if __name__ == "__main__":
    on_each_core(share)
    print("done", trials)
