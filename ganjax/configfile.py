"""Configs as files: reading `--config`, keeping a run's beside it, and what a resume may change."""

import json
import os
import shlex
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from ganjax.config import base, flatten
from ganjax.errors import UserError, nearest

# What may change when a run goes on; data.path, a, b and how pairs are cut only to the same content, which the data's
# hash checks.
RESUMABLE = (
    "total_images",
    "data.path",
    "data.a",
    "data.b",
    "data.pairs_fit",
    "data.split_at",
    "data.threads",
    "data.resident",
    "steps_per_call",
    "checkpoint.",
    "on_divergence",
    "health",
    "metrics",
    "metrics_images",
    "metrics_every_images",
    "mesh.",
    "report.",
)
# Filled in by the run itself: the schedules' horizon, and the classes, which the hash of the data covers.
DERIVED = ("schedule_images", "data.classes", "data.class_counts", "data.side_by_side")


def load_file(argument: str, overrides: list[str]) -> ConfigDict:
    """Return the config of `path/to/file.py[:arg]` with `--config.KEY=VALUE` overrides, locked.

    UserError names the file, the nearest key or the type that is expected.
    """
    path = argument.split(":", 1)[0]
    if not Path(path).is_file():
        here = [str(p) for p in sorted(Path(path).parent.glob("*.py"))] if Path(path).parent.is_dir() else []
        raise UserError(f"--config: no file {path}" + (nearest(path, here) if here else ""))
    try:
        known = flatten(_parse([f"--config={argument}"]))
    except Exception as error:  # the file is the user's code: anything may come
        raise UserError(f"--config={argument}: {type(error).__name__}: {error}") from error
    for flag in overrides:
        _check_override(flag, known)
    try:
        return _parse([f"--config={argument}", *overrides])
    except (ValueError, TypeError, flags.Error) as error:
        raise UserError(" ".join(str(error).split())) from error


def _parse(arguments: list[str]) -> ConfigDict:
    values, argv = flags.FlagValues(), ["launch.py", *arguments]
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values, sys_argv=argv)
    values(argv)
    return values.config


def _check_override(flag: str, known: dict) -> None:
    name, _, text = flag.removeprefix("--config.").partition("=")
    if name not in known:
        inner = [key for key in known if key.startswith(f"{name}.")]
        if inner:
            raise UserError(f"--config.{name} is a group; set one of: {', '.join(inner)}")
        raise UserError(f"--config.{name}: there is no such key{nearest(name, known)}")
    kind = type(known[name])
    if kind is bool:
        good = text.lower() in ("true", "false", "1", "0")
    elif kind in (int, float):
        try:
            kind(text)
            good = True
        except ValueError:
            good = False
    else:
        good = True
    if not good:
        raise UserError(f"--config.{name}={text}: expected {kind.__name__}, as in --config.{name}={known[name]}")


def save(config: ConfigDict, path: Path) -> None:
    """Write the whole config as JSON, atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n")
    temporary.replace(path)


def read(path: Path) -> ConfigDict:
    """Read what `save` wrote, locked; UserError where it is missing or damaged."""
    try:
        return of_json(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path.parent} holds no run: {path.name} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); restore it, or start a new workdir") from error


def of_json(text: str) -> ConfigDict:
    """Return the locked config of what `save` wrote; ValueError where it is damaged.

    The loop's keys that it lacks, being from before they were known, are at their defaults.
    """

    def tuples(tree):
        if isinstance(tree, dict):
            return {key: tuples(value) for key, value in tree.items()}
        return tuple(tree) if isinstance(tree, list) else tree

    config = base()
    config.update(ConfigDict(tuples(json.loads(text))))
    return config.lock()


def resume(config: ConfigDict, saved: ConfigDict, workdir: Path) -> dict:
    """Make `config` go on from `saved`: return {key: (old, new)} of what changed and may.

    Schedules keep the horizon they were started with unless `schedule_images` is set. UserError names the first key
    that differs and may not.
    """
    if not config.schedule_images:
        config.schedule_images = saved.schedule_images
    if config.data.paired == "auto":
        config.data.paired = saved.data.paired  # as it was found at the start
    old, new = flatten(saved), flatten(config)
    # A key that the run did not know yet was at what is now its default.
    changed = {key: (old[key], new.get(key)) for key in sorted(old) if key not in DERIVED and old[key] != new.get(key)}
    for key, (before, after) in changed.items():
        if not any(key == k or (k[-1] == "." and key.startswith(k)) for k in RESUMABLE):
            way = shlex.quote(f"--config.{key}={before}")
            raise UserError(
                f"{workdir} holds a run with config.{key} = {before!r}, not {after!r}: this key may not change; "
                f"resume with {way} or choose another --workdir"
            )
    return changed
