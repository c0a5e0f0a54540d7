"""Ray: what runs in its driver, a process beside the coordinator, and on its nodes. Nothing else imports it.

The executor (`sweep.control.executors.ray`) orders the driver to launch and kill workers, and the driver reports how
they end. Each slot is an actor, a `WorkerActor`, that has the slot's cores, GPU and resources, and starts workers as
processes, the same program as on one machine. What a worker says goes through its actor to the driver, from there into
the coordinator's socket, and the answer comes back.
"""
