"""Data: sources by name, and the splits of a run."""
