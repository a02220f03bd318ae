"""Experiments: what they are, how they run, the tables and curves of their results, and the benchmark."""
