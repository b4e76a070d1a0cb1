"""Configs as files: reading `--config`, keeping a run's beside it, and what a resume may change."""

import functools
import json
import os
import runpy
import shlex
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

import ganjax.configs
from ganjax.config import numbers, value_types
from ganjax.config.derived import flatten
from ganjax.config.groups import base
from ganjax.errors import UserError, nearest
from ganjax.system import atomic
from ganjax.system.names import expanded, printable

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
# Filled in by the run itself: the schedules' horizon, the classes, which the hash of the data covers, how pairs lay
# beside each other, and a branch's origin.
RECORD = ("at", "images", "attempt", "checkpoint", "changed")  # of config.branch
DERIVED = ("schedule_images", "data.classes", "data.class_counts", "data.side_by_side")
DERIVED += tuple(f"branch.{key}" for key in RECORD)


def load_file(argument: str, overrides: list[str]) -> ConfigDict:
    """Return the config of `path/to/file.py[:arg]`, or of a name that `find` knows, with its overrides, locked.

    overrides: flags, `--config.KEY=VALUE`.
    UserError names the file, the nearest key or the type that is expected.
    """
    name, colon, variant = argument.partition(":")
    path = find(name)
    config = _returned(path, f"{path}{colon}{variant}")
    known = flatten(config)
    overrides = [_plain(flag, known) for flag in overrides]
    values, argv = flags.FlagValues(), ["launch.py", *overrides]
    try:
        config_flags.DEFINE_config_dict("config", config, lock_config=True, flag_values=values, sys_argv=argv)
        values(argv)
    except (ValueError, TypeError, flags.Error) as error:
        raise UserError(" ".join(str(error).split())) from error
    return values.config


def find(name: str) -> str:
    """Return the path of a config: a file's, or that of a bare name, as "dcgan_art", in any sub-folder of `configs`.

    `configs` is a folder of the working directory or, where that has none of this name, the one that comes with ganjax.
    Raises UserError, with the nearest, if there is no such file.
    """
    path = str(expanded(name, "--config"))
    if os.path.isfile(path):
        return path
    roots = [Path("configs"), *map(Path, ganjax.configs.__path__)]
    files = {}
    for root in roots:
        for file in sorted(root.rglob("[!_]*.py")):
            files.setdefault(file.stem, str(file))
    if name in files:
        return files[name]
    beside = [str(file) for file in Path(path).parent.glob("*.py")] if os.path.isdir(os.path.dirname(path)) else []
    stem = os.path.basename(path).removesuffix(".py")
    if stem in files:  # where it was before, or where a person looks for it
        raise UserError(f"--config: no file {path}; did you mean {files[stem]!r}?")
    raise UserError(f"--config: no file {path}{nearest(path, beside) if beside else nearest(stem, files)}")


def _returned(path: str, argument: str) -> ConfigDict:
    """Return what get_config() of a file returns; UserError, in one line, whatever the file does."""
    _, colon, variant = argument.removeprefix(path).partition(":")
    functions = run_file(path, f"--config={argument}")
    if "get_config" not in functions:
        sweep = "get_sweep" in functions
        raise UserError(
            f"--config={path}: this is a sweep: launch.py sweep --config={path} --workdir=DIR"
            if sweep
            else f"--config={path} has no get_config(), which returns the config of a run: see configs/"
        )
    try:
        config = functions["get_config"](variant) if colon else functions["get_config"]()
    except UserError as error:
        raise UserError(f"--config={argument}: {error}") from error
    except (Exception, SystemExit) as error:  # the file is the user's code: anything may come
        raise UserError(f"--config={argument}: {one_line(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config={argument}: get_config() must return a ConfigDict, not a {type(config).__name__}")
    return config


def run_file(path: str, flag: str) -> dict:
    """Return the names that a Python file of the user's defines. UserError, in one line, where it does not run."""
    try:
        return runpy.run_path(path)
    except (Exception, SystemExit) as error:
        raise UserError(f"{flag}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return an error's kind and text on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if text else ''}{text}"


def _plain(flag: str, known: dict) -> str:
    """Return an override with its value as the config's parser reads it: of 1e6 for an int, yes for a bool, a,b for a
    tuple.

    UserError for an unknown key, and for a value that is not of the key's type.
    """
    name, _, text = flag.removeprefix("--config.").partition("=")
    if name not in known:
        inner = [key for key in known if key.startswith(f"{name}.")]
        if inner:
            raise UserError(f"--config.{name} is a group; set one of: {', '.join(inner)}")
        raise UserError(f"--config.{name}: there is no such key{nearest(name, known)}")
    kind = type(known[name])
    readers = {bool: numbers.truth, int: numbers.whole, float: float, tuple: functools.partial(_several, known[name])}
    if kind not in readers:
        return flag
    try:
        return f"--config.{name}={readers[kind](text)!r}"
    except ValueError as error:
        example = f"as in --config.{name}={known[name]}" if known[name] != () else f"as in --config.{name}=a,b"
        raise UserError(f"--config.{name}={printable(text[:100])}: expected {kind.__name__}, {example}") from error


def _several(known: tuple, text: str) -> tuple:
    """Return the tuple that a text is; ValueError where its parts are of another kind than those of the known one."""
    value = numbers.several(text)
    if all(isinstance(part, float) and part.is_integer() or isinstance(part, int) for part in value):
        value = tuple(int(part) for part in value)
    if known and any(type(part) is not type(known[0]) for part in value):
        raise ValueError(f"{text} holds values of another kind")
    return value


def save(config: ConfigDict, path: Path) -> None:
    """Write the whole config as JSON, whole or not at all. UserError, that names the file, where it cannot be."""
    atomic.write_text(path, json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n")


def read(path: Path) -> ConfigDict:
    """Read what `save` wrote, locked; UserError where it is missing or damaged."""
    try:
        return of_json(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path.parent} holds no run: {path.name} is missing") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = printable(" ".join(str(error).split()))[:200]
        raise UserError(f"{path} cannot be read ({reason}); restore it, or start a new workdir") from error


def of_json(text: str) -> ConfigDict:
    """Return the locked config of what `save` wrote; ValueError or TypeError where it is damaged, UserError for a value
    of another type than the loop's key has.

    The loop's keys that it lacks, being from before they were known, are at their defaults.
    """

    def tuples(tree):
        if isinstance(tree, dict):
            return {key: tuples(value) for key, value in tree.items()}
        return tuple(tree) if isinstance(tree, list) else tree

    saved = json.loads(text)
    if not isinstance(saved, dict):
        raise ValueError("it is no JSON object")
    if "task" not in saved:
        raise UserError("this run was made by an older version of ganjax: sample from it, or go on, with that version")
    config = base()
    value_types.check(saved, config)
    config.update(ConfigDict(tuples(saved)))
    return config.lock()


def may_change(key: str) -> bool:
    """Say whether a key may change when a run goes on, or is filled in by the run."""
    return key in DERIVED or any(key == k or (k[-1] == "." and key.startswith(k)) for k in RESUMABLE)


def resume(config: ConfigDict, saved: ConfigDict, workdir: Path) -> dict:
    """Make `config` go on from `saved`: return {key: (old, new)} of what changed and may.

    Schedules keep the horizon they were started with unless `schedule_images` is set. UserError names the first key
    that differs and may not.
    """
    if not config.schedule_images:
        config.schedule_images = saved.schedule_images
    if config.data.paired == "auto":
        config.data.paired = saved.data.paired  # as it was found at the start
    asked = ("workdir", "step") if not config.branch.workdir else ()
    config.branch.update({key: saved.branch[key] for key in (*asked, *RECORD)})
    old, new = flatten(saved), flatten(config)
    # A key that the run did not know yet was at what is now its default.
    changed = {key: (old[key], new.get(key)) for key in sorted(old) if key not in DERIVED and old[key] != new.get(key)}
    for key, (before, after) in changed.items():
        if not may_change(key):
            way, branch = (shlex.quote(f"--config.{flag}") for flag in (f"{key}={before}", f"branch.workdir={workdir}"))
            other = "" if key.startswith("branch.") else f", where {branch} goes on from this run's checkpoint"
            raise UserError(
                f"{workdir} holds a run with config.{key} = {before!r}, not {after!r}: this key may not change; "
                f"resume with {way} or choose another --workdir{other}"
            )
    return changed
