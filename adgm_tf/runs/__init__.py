"""Run directories: the job that fills one, what reads, measures, draws and exports it."""
