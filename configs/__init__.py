"""The configs of ganjax. Each file is the config of one run, `get_config(variant)`; `sweeps/` holds grids of runs."""
