"""The benchmark: what a step costs, against what its arithmetic must cost on this machine."""
