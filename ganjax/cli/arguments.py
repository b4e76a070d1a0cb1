"""The types of the commands' flags; each raises argparse's error, which becomes one line."""

import argparse

SEED = 2**32 - 1  # the largest: `rng.SEED`, which is not imported for it brings JAX along
IMAGES = 10_000_000  # at most in one call


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the flags, where argparse prints all that there are."""

    def error(self, message: str):
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def place(text: str) -> str:
    """Return the path with "~" expanded: of `--workdir=~/x` a shell leaves it as it is."""
    from ganjax.system.names import expanded

    if not text:
        raise argparse.ArgumentTypeError("no place is given")
    try:
        return str(expanded(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def whole(low: int, high: int = 2_000_000_000):
    """Return the argparse type of an integer from `low` to `high`, written as 64, 1_000 or 1e6."""

    def parse(text: str) -> int:
        from ganjax.config import numbers

        try:
            value = numbers.parse_int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} must be from {low} to {high}")
        return value

    return parse


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]} is no number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value} must be from 0 to 1")
    return value


def step(text: str) -> int | str:
    """Return a checkpoint's step, or "best"."""
    return text if text == "best" else whole(0)(text)


def add_step(parser: argparse.ArgumentParser) -> None:
    """Add --step, which chooses a checkpoint."""
    parser.add_argument("--step", type=step, metavar="N|best", help="checkpoint; the newest by default")


def add_workdir(parser: argparse.ArgumentParser, text: str, required: bool = True) -> None:
    """Add --workdir."""
    parser.add_argument("--workdir", required=required, type=place, metavar="DIR", help=text)
