"""Grids of runs, each in one table."""
