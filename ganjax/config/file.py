"""Configs as files: reading `--config`, keeping a run's beside it, and what a resume may change."""

import ast
import functools
import json
import os
import runpy
import shlex
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import ganjax.configs
from ganjax.config import groups, numbers, schedule
from ganjax.config.derived import flatten
from ganjax.config.key import UNDECLARED, Key, check_schedule, check_types
from ganjax.config.run_keys import BRANCH, RUN
from ganjax.config.schedule import is_schedule
from ganjax.errors import UserError, nearest
from ganjax.system import atomic
from ganjax.system.names import expanded, printable


def load_file(argument: str, overrides: list[str]) -> ConfigDict:
    """Return the config of `path/to/file.py[:arg]`, or of a name that `find` knows, with its overrides, locked.

    overrides: flags, `--config.KEY=VALUE`.
    UserError names the file, the nearest key or the type that is expected.
    """
    name, colon, variant = argument.partition(":")
    path = find(name)
    config = _returned(path, f"{path}{colon}{variant}")
    declared = groups.keys_of(config)
    for flag in overrides:
        _override(config, flag, declared)
    return config.lock()


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
    """Return the names that a Python file of the user's defines. Raises UserError, in one line, if it does not run."""
    try:
        return runpy.run_path(path)
    except (Exception, SystemExit) as error:
        raise UserError(f"{flag}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return an error's kind and text on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if text else ''}{text}"


def _override(config: ConfigDict, flag: str, declared: dict[str, Key]) -> None:
    """Set the value of one flag: 1e6 for an int, yes for a bool, a,b for a tuple.

    Raises UserError for an unknown key, and for a value that is not of the key's type.
    """
    name, _, text = flag.removeprefix("--config.").partition("=")
    flat, (group, _, own) = flatten(config), name.rpartition(".")
    key = declared.get(name, UNDECLARED)
    if name in flat and (key.schedule or is_schedule(flat[name])):
        value = _number_or_schedule(name, text, key)
    elif own in schedule.FIELDS and is_schedule(flat.get(group)):
        name, value = group, flat[group] | {own: text if own == "kind" else _read(name, text, float, 1.0)}
    elif name in flat:
        owner = config[group] if group else config
        value = _read(name, text, owner.get_type(own), flat[name])
    else:
        raise UserError(_unknown(name, flat, declared))
    with config.ignore_type():  # a schedule may stand for a number, and a number for a schedule
        config.update_from_flattened_dict({name: value})


def _unknown(name: str, flat: dict, declared: dict[str, Key]) -> str:
    """Return what is wrong with the name of a flag."""
    group, _, own = name.rpartition(".")
    inner = [other for other in flat if other.startswith(f"{name}.")]
    if inner:
        return f"--config.{name} is a group; set one of: {', '.join(inner)}"
    if is_schedule(flat.get(group)):
        return f"--config.{name}: {schedule.unknown(own)}"
    if declared.get(group, UNDECLARED).schedule:
        return f"--config.{name}: config.{group} is a number; the config's file may set a schedule in its place"
    return f"--config.{name}: there is no such key{nearest(name, flat)}"


def _number_or_schedule(name: str, text: str, key: Key) -> float | dict:
    """Return the number that a text is, or the schedule, as Python or JSON writes it."""
    if not text.strip().startswith("{"):
        return _read(name, text, float, 1.0)
    try:
        value = ast.literal_eval(text.strip()) if len(text) <= numbers.LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"--config.{name}={printable(text[:100])}: expected a number, or a schedule {schedule.EXAMPLE}")
    check_schedule(name, value, key)
    return value


def _read(name: str, text: str, kind: type, default: Any) -> Any:
    """Return the value of a type that a text is; `known` is another one of it."""
    readers = {bool: numbers.truth, int: numbers.whole, float: float, str: str}
    readers[tuple] = readers[list] = functools.partial(_several, default)
    if kind not in readers:
        raise UserError(f"--config.{name}: a value of the type {kind.__name__} is set in the config's file, not here")
    try:
        return readers[kind](text)
    except ValueError as error:
        example = f"as in --config.{name}={default}" if default != () else f"as in --config.{name}=a,b"
        raise UserError(f"--config.{name}={printable(text[:100])}: expected {kind.__name__}, {example}") from error


def _several(default: tuple, text: str) -> tuple:
    """Return the tuple that a text is; ValueError where its parts are of another kind than those of the known one."""
    value = numbers.several(text)
    if all(isinstance(part, float) and part.is_integer() or isinstance(part, int) for part in value):
        value = tuple(int(part) for part in value)
    if default and any(type(part) is not type(default[0]) for part in value):
        raise ValueError(f"{text} holds values of another kind")
    return value


def save(config: ConfigDict, path: Path) -> None:
    """Write the whole config as JSON, whole or not at all. Raises UserError, which names the file, if it cannot be."""
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
    check_types(saved, RUN)
    config = groups.base()
    config.update(ConfigDict(tuples(saved)))
    return config.lock()


def may_change(name: str, declared: dict[str, Key]) -> bool:
    """Return whether a key may change when a run goes on, or is filled in by the run."""
    own = declared.get(name, UNDECLARED)
    return own.resumable or own.derived


def resume(config: ConfigDict, saved: ConfigDict, workdir: Path) -> dict:
    """Make `config` go on from `saved`: return {key: (old, new)} of what changed and may.

    Schedules keep the horizon they were started with unless `schedule_images` is set. UserError names the first key
    that differs and may not.
    """
    if not config.schedule_images:
        config.schedule_images = saved.schedule_images
    if config.data.paired == "auto":
        config.data.paired = saved.data.paired  # as it was found at the start
    declared = groups.keys_of(config)
    request = ("workdir", "step") if not config.branch.workdir else ()
    record = [name for name, own in BRANCH.items() if own.derived]
    config.branch.update({name: saved.branch[name] for name in (*request, *record)})
    old, new = flatten(saved), flatten(config)
    # A key that the run did not know yet was at what is now its default.
    differing = [name for name in sorted(old) if old[name] != new.get(name)]
    changed = {name: (old[name], new.get(name)) for name in differing if not declared.get(name, UNDECLARED).derived}
    for name, (before, after) in changed.items():
        if not may_change(name, declared):
            flags = (f"--config.{name}={before}", f"--config.branch.workdir={workdir}")
            way, branch = map(shlex.quote, flags)
            other = "" if name.startswith("branch.") else f", where {branch} goes on from this run's checkpoint"
            raise UserError(
                f"{workdir} holds a run with config.{name} = {before!r}, not {after!r}: this key may not change; "
                f"resume with {way} or choose another --workdir{other}"
            )
    return changed
