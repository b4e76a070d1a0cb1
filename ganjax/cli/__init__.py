"""The commands: one file per verb, with `add_arguments(parser)` and `run(options)`."""
