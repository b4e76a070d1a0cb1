"""The configs of ganjax: one file is one run, `get_config(variant)`; `sweeps/` holds grids of runs."""
