"""Train and measure runs over a grid of config keys and seeds; write one table. Run the same command to resume.

examples:
  ganjax sweep --config=losses --workdir=runs/losses --config.data.path=ART

--config.KEY=VALUE applies to every run; to list the keys of the first: ganjax sweep --config=NAME --help
the file of a sweep defines get_sweep(): see ganjax/training/sweep.py
"""

from pathlib import Path

from ganjax.cli.arguments import add_workdir, path_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    text = "a file, or the name of a file in configs/sweeps/"
    parser.add_argument("--config", required=True, type=path_type, metavar="NAME|FILE.py", help=text)
    add_workdir(parser, "folder for sweep.md, .csv, .png and a folder per run")


def read_config(options):
    """Return the config of the sweep's first run."""
    from ganjax.training import sweep

    return _first_config(sweep.read(options.config), options.flags)


def _first_config(plan, flags: list[str]):
    from ganjax.training import sweep

    return sweep.settings(plan, next(iter(plan.points)), plan.seeds[0], flags)


def run(options) -> None:
    """Run the sweep and print its table. Raises UserError if a run failed, or if the user can correct an error."""
    from ganjax.errors import UserError
    from ganjax.system import devices
    from ganjax.training import sweep

    plan, flags = sweep.read(options.config), options.flags
    if any(flag.startswith("--config.seed=") for flag in flags):
        raise UserError("--config.seed: a sweep sets the seeds of its runs; change them in its file")
    first = _first_config(plan, flags)
    devices.start(deterministic=first.deterministic, precision=first.precision)
    results = sweep.run(plan, options.workdir, flags)
    if results is None:
        return  # a signal stopped the sweep, as the run has printed
    print((Path(options.workdir) / "sweep.md").read_text(), end="")
    print(f"table: {options.workdir}/sweep.md, .csv, .png")
    failed = sum("error" in run for runs in results.values() for run in runs)
    if failed:
        total = sum(map(len, results.values()))
        raise UserError(f"{failed} of {total} runs failed: see above; run the same command to try them again")
