"""Argument types of the commands' flags. Each raises argparse's error, which is printed in one line."""

import argparse

SEED = 2**32 - 1  # largest seed, as in `rng.SEED`, whose import would load JAX
SIDE = 2**14  # pixels
IMAGES = 10_000_000  # largest number of images of one call


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without argparse's list of all flags."""

    def error(self, message: str):
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def path_type(text: str) -> str:
    """Return the path with "~" expanded, which a shell does not do in `--workdir=~/x`."""
    from ganjax.system.names import expanded

    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    try:
        return str(expanded(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def int_type(low: int, high: int = 2_000_000_000):
    """Return the argument type of an integer from `low` to `high`, written as 64, 1_000 or 1e6."""

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


def size_type(text: str) -> tuple[int, int]:
    """Return (height, width), written as 128x300."""
    parts = text.lower().split("x")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text[:40]} is no size: write HEIGHTxWIDTH, such as 128x300")
    return tuple(int_type(1, SIDE)(part) for part in parts)


def number_type(low: float, high: float):
    """Return the argument type of a number from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text[:40]} is no number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} must be from {low:g} to {high:g}")
        return value

    return parse


def step_type(text: str) -> int | str:
    """Return a checkpoint's step, "best", or "ema:WIDTH"."""
    return text if text == "best" or text.startswith("ema:") else int_type(0)(text)


def add_step(parser: argparse.ArgumentParser) -> None:
    """Add --step, which selects a checkpoint."""
    text = "step of the checkpoint (default: the newest); ema:0.1: weights averaged anew over a tenth of the training"
    parser.add_argument("--step", type=step_type, metavar="N|best|ema:W", help=text)


def add_workdir(parser: argparse.ArgumentParser, text: str, required: bool = True) -> None:
    """Add --workdir."""
    parser.add_argument("--workdir", required=required, type=path_type, metavar="DIR", help=text)
