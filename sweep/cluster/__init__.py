"""Ray: what runs in its driver, a process beside the coordinator, and on its nodes. Nothing else imports it.

The coordinator tells the driver of workers to launch and kill, and is told how they end; see `sweep.control.ray`. Each
slot of the executor is an actor, a `Berth`, that has the slot's cores, GPU and resources; workers are processes that it
starts, the same program as on one machine. What a worker says goes through its berth to the driver and from there into
the coordinator's socket, and the answer back.
"""
