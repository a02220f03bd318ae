"""Experiments: tables and curves from results, and the benchmark."""
