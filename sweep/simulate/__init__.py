"""What other pruners, samplers and budgets would have done with learning curves that are known: pure, without Keras."""
