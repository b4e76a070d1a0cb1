"""Train and measure a grid of configs and seeds, in turn; write one table. The same command again goes on.

examples:
  ganjax sweep --config=losses --workdir=runs/losses --config.data.path=ART

--config.KEY=VALUE is for every run; the keys, as the first run has them: ganjax sweep --config=NAME --help
a sweep's file says what get_sweep() returns: see ganjax/training/sweep.py
"""

from pathlib import Path

from ganjax.cli.arguments import add_workdir, place


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    text = "a file, or the name of one in configs/sweeps/"
    parser.add_argument("--config", required=True, type=place, metavar="NAME|FILE.py", help=text)
    add_workdir(parser, "for sweep.md, .csv, .png and a folder each run")


def read_config(options):
    """Return the config of the sweep's first run."""
    from ganjax.training import sweep

    return _first(sweep.read(options.config), options.flags)


def _first(plan, flags: list[str]):
    from ganjax.training import sweep

    return sweep.settings(plan, next(iter(plan.points)), plan.seeds[0], flags)


def run(options) -> None:
    """Run the sweep and print its table. Raises UserError if a run failed, and for what the user can mend."""
    from ganjax.errors import UserError
    from ganjax.system import devices
    from ganjax.training import sweep

    plan, flags = sweep.read(options.config), options.flags
    if any(flag.startswith("--config.seed=") for flag in flags):
        raise UserError("--config.seed: the sweep's own seeds are run; change them in its file")
    first = _first(plan, flags)
    devices.start(deterministic=first.deterministic, precision=first.precision)
    results = sweep.run(plan, options.workdir, flags)
    if results is None:
        return  # a signal stopped it, of which its run has told
    print((Path(options.workdir) / "sweep.md").read_text(), end="")
    print(f"table: {options.workdir}/sweep.md, .csv, .png")
    failed = sum("error" in run for runs in results.values() for run in runs)
    if failed:
        total = sum(map(len, results.values()))
        raise UserError(f"{failed} of {total} runs failed: see above; the same command tries them again")
