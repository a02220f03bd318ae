"""Training: the strategy, one step, the loop around it, and the actions between its calls."""
