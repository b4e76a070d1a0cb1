"""Checks of a config: each value against its key, and values against each other."""

import re

from ml_collections import ConfigDict

from ganjax.config import groups
from ganjax.config.derived import flatten
from ganjax.config.key import UNDECLARED, check_types, check_value
from ganjax.config.numbers import parse_int, short_repr
from ganjax.config.run_keys import RUN
from ganjax.config.schedule import is_schedule
from ganjax.errors import UserError


def check(config: ConfigDict) -> ConfigDict:
    """Return the config, with `metrics` as a tuple of names and `data.name` = "folder" where `data.path` implies it.

    Raises UserError for the first invalid value.
    """
    if config.metrics is None or isinstance(config.metrics, str):
        with config.unlocked(), config.ignore_type():
            config.metrics = (config.metrics,) if config.metrics else ()
    check_types(config, RUN)  # first: `task` and `recipe` decide which other keys there are
    check_types(config, groups.settings(config))
    if config.data.path and config.data.name == RUN["data"]["name"].default:
        config.data.name = "folder"
    config.metrics = tuple(name.strip() for entry in config.metrics for name in entry.split(",") if name.strip())
    declared = groups.keys_of(config)
    for name, value in flatten(config).items():
        check_value(name, value, declared.get(name, UNDECLARED))
    _check_data(config)
    if config.total_images < config.batch_size:
        raise UserError(f"config.total_images = {config.total_images} is less than one batch of {config.batch_size}")
    for rate in ("g_lr", "d_lr"):
        if is_schedule(config.get("optimizer", {}).get(rate)) and config.optimizer.schedule != "constant":
            raise UserError(
                f"config.optimizer.schedule = {config.optimizer.schedule!r} needs learning rates that are numbers, but "
                f"config.optimizer.{rate} is a schedule: set --config.optimizer.schedule=constant"
            )
    best = config.checkpoint.keep_best
    if best and not re.fullmatch("(min|max):.+", best):
        raise UserError(f"config.checkpoint.keep_best = {best!r} must be 'min:name' or 'max:name', such as min:g_loss")
    branch_step(config)
    return config


def _check_data(config: ConfigDict) -> None:
    """Raise UserError if keys of `config.data` contradict each other."""
    data = config.data
    if data.load_size and data.load_size < data.resolution:
        raise UserError(f"config.data.load_size = {data.load_size} is smaller than data.resolution = {data.resolution}")
    if data.channels == 4 and config.task in ("translate", "restore"):
        raise UserError(f"config.data.channels = 4: {config.recipe} learns no alpha; leave it at 3")
    if data.windows and not (data.name in ("folder", "atelier") or (data.a and not data.name.startswith("tfds:"))):
        raise UserError(f"config.data.windows cuts files: set it to 0 for {data.name}")
    if data.attributes and not data.labels:
        raise UserError(f"config.data.attributes = {data.attributes!r} needs --config.data.labels=true")
    if data.balance and not data.labels:
        raise UserError(f"config.data.balance = {data.balance} needs --config.data.labels=true")


def branch_step(config: ConfigDict) -> int | str | None:
    """Return the checkpoint that `branch.step` names: a step, "best", or None for the newest.

    Raises UserError if the text is none of these, or if it is set without `branch.workdir`.
    """
    text = config.branch.step.strip()
    if text and not config.branch.workdir:
        raise UserError(
            f"config.branch.step = {short_repr(text)} needs the run to branch from: --config.branch.workdir=DIR"
        )
    if text in ("", "best"):
        return text or None
    try:
        step = parse_int(text)
    except ValueError:
        step = -1
    if step < 0:
        raise UserError(
            f"config.branch.step = {short_repr(text)} must be a step, 'best', or empty for the newest checkpoint"
        )
    return step
