"""Checks that tell a broken run: what was seen, and what to do. Few, and silent where they are not sure.

`Health` asks each of them at the end of an epoch: `data` (rows and the last activation, once), `weights`, `curves` (the
losses by epoch), `signals` (activations, outputs and gradients on a sample of rows).
"""

from sweep.train.checks.health import Health, Material

__all__ = ["Health", "Material"]
