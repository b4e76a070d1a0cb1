"""Sweeps: grids of runs, each summarised in one table."""
