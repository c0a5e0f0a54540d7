"""What decides about a running study. Pure Python: no threads, no input or output, no clock, no Optuna."""
