"""The entry point of the commands: run a verb, print errors in one line, and end by a signal if one came."""

import argparse
import contextlib
import importlib
import os
import signal
import sys

from ganjax.cli.arguments import Parser
from ganjax.system import console, signals, start

VERBS = ("train", "sweep", "sample", "project", "translate", "evaluate", "export")
LONG = ("train", "sweep")  # long verbs, whose results are files: they continue even if nobody reads their output
HELP = {"-h", "--help"}


def main() -> None:
    """Run the program and end the process, by a signal if one stopped it."""
    start.block_signals()
    start.use_large_pages()
    several_hosts = "--distributed" in sys.argv  # then orbax handles SIGTERM: the hosts agree on the step to save
    numbers = (signal.SIGINT, signal.SIGHUP) if several_hosts else signals.SIGNALS
    signals.watch(*numbers)
    try:
        status = command(sys.argv[1:])
    except SystemExit as end:  # raised by argparse
        status = end.code
    if several_hosts:
        import jax

        jax.distributed.shutdown()  # disconnect from the other hosts
    signals.leave(status)


def command(argv: list[str]) -> int:
    """Run one verb; return the exit status. Errors that the user can correct are one line, never a traceback."""
    long = argv[:1] and argv[0] in LONG
    console.start(patient=bool(long))
    lists_keys = bool(long) and asks_for_keys(argv)
    if lists_keys:  # the parser requires a workdir, the list of keys does not
        argv = [*(flag for flag in argv if flag not in HELP), "--workdir=."]
    options, rest = parser().parse_known_args(argv)
    signals.advice = "; run the same command to resume" if long else ""
    start.quiet_libraries()
    from ganjax.errors import UserError  # imported here so that --help is quick
    from ganjax.system import memory

    try:
        start.keep_programs()
        options.flags = config_flags(options, rest)
        with memory.explain_exhaustion(memory.FREE):
            if lists_keys:
                list_keys(options)
            else:
                verb(options.verb).run(options)
    except (UserError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        print(f"error: {console.one_line(error)}", file=sys.stderr)
        return 1
    return 0


def asks_for_keys(argv: list[str]) -> bool:
    """Return whether these flags ask for help and name a config."""
    return any(flag == "--config" or flag.startswith("--config=") for flag in argv) and bool(HELP & set(argv))


def list_keys(options: argparse.Namespace) -> None:
    """Print the help of a verb, and the keys of its --config. Raises UserError if the config cannot be read."""
    from ganjax.config import docs

    keys = docs.listing(verb(options.verb).read_config(options))
    with contextlib.suppress(SystemExit):
        parser().parse_args([options.verb, "--help"])
    print(f"\nkeys of {options.config}, each a flag, --config.KEY=VALUE; docs/config.md says more:\n\n{keys}")


def verb(name: str):
    """Return the module of a verb."""
    return importlib.import_module(f"ganjax.cli.{name}")


def parser() -> Parser:
    """Return the parser of all verbs. The docstring of a verb's module is its help: first paragraph, then epilog."""
    name = os.path.basename(sys.argv[0]) if sys.argv[0] else "ganjax"
    top = Parser(
        prog="ganjax" if name == "__main__.py" else name, description="GANs for art on JAX.", allow_abbrev=False
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))
    for name in VERBS:
        module = verb(name)
        text, _, epilog = module.__doc__.partition("\n\n")
        text = " ".join(text.split())
        raw = argparse.RawDescriptionHelpFormatter
        epilog = epilog.strip().replace("ganjax ", f"{top.prog} " if top.prog == "ganjax" else f"python {top.prog} ")
        module.add_arguments(
            verbs.add_parser(name, help=text, description=text, epilog=epilog, formatter_class=raw, allow_abbrev=False)
        )
    return top


def config_flags(options: argparse.Namespace, rest: list[str]) -> list[str]:
    """Return the --config.KEY=VALUE flags of `train` and `sweep`; `--config.KEY VALUE` is accepted too.

    Raises UserError for any other flag.
    """
    from ganjax.errors import UserError, nearest

    flags, rest = [], list(rest)
    while rest:
        flag = rest.pop(0)
        if options.verb not in LONG or not flag.startswith("--config."):
            names = [f"--{name}" for name in vars(options) if name != "verb"]
            name = flag.split("=")[0]
            raise UserError(f"{options.verb}: {name} is not known{nearest(name, names)}")
        if "=" not in flag:
            if not rest or rest[0].startswith("--"):
                raise UserError(f"{flag} needs a value: {flag}=VALUE")
            flag = f"{flag}={rest.pop(0)}"
        flags.append(flag)
    return flags
