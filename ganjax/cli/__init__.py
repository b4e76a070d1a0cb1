"""The commands: one file for each verb, with `add_arguments(parser)` and `run(options)`."""
