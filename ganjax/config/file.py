"""Config files: load `--config` and its flags, save and read the config of a run, check what a resume changes."""

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
    """Return the locked config of `path/to/file.py[:variant]` or `name[:variant]` (see `find`), with the overrides set.

    overrides: flags, `--config.KEY=VALUE`.
    Raises UserError, which names the file, the nearest key or the expected type.
    """
    name, colon, variant = argument.partition(":")
    path = find(name)
    config = _call_get_config(path, f"{path}{colon}{variant}")
    declared = groups.keys_of(config)
    for flag in overrides:
        override(config, flag, declared)
    return config.lock()


def find(name: str) -> str:
    """Return the path of a config: `name` itself if it is a file, else the file of this name, such as "dcgan_art".

    Names are searched in all sub-folders of `configs` in the working directory, then of the `configs` of the package.
    Raises UserError, which suggests the nearest name, if there is no such file.
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
    if stem in files:  # the right name in a wrong folder, such as configs/dcgan_art.py
        raise UserError(f"--config: no file {path}; did you mean {files[stem]!r}?")
    raise UserError(f"--config: no file {path}{nearest(path, beside) if beside else nearest(stem, files)}")


def _call_get_config(path: str, argument: str) -> ConfigDict:
    """Return the config that get_config() of a file returns. Raises UserError, in one line, for any error in the file.

    argument: `path[:variant]`; get_config() is called with the variant if there is a colon.
    """
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
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UserError(f"--config={argument}: {one_line(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config={argument}: get_config() must return a ConfigDict, not a {type(config).__name__}")
    return config


def run_file(path: str, flag: str) -> dict:
    """Run a Python file of the user and return its global names. Raises UserError, in one line, if it fails."""
    try:
        return runpy.run_path(path)
    except (Exception, SystemExit) as error:
        raise UserError(f"{flag}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return an error's type and message on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if text else ''}{text}"


def override(config: ConfigDict, flag: str, declared: dict[str, Key]) -> None:
    """Set one flag, --config.KEY=VALUE; VALUE may be 1e6 for an int, yes for a bool, a,b for a tuple.

    Raises UserError for an unknown key or a value of the wrong type.
    """
    name, _, text = flag.removeprefix("--config.").partition("=")
    flat, (group, _, field) = flatten(config), name.rpartition(".")
    key = declared.get(name, UNDECLARED)
    if name in flat and (key.schedule or is_schedule(flat[name])):
        value = _number_or_schedule(name, text, key)
    elif field in schedule.FIELDS and is_schedule(flat.get(group)):
        name, value = group, flat[group] | {field: text if field == "kind" else _parse(name, text, float, 1.0)}
    elif name in flat:
        owner = config[group] if group else config
        value = _parse(name, text, owner.get_type(field), flat[name])
    else:
        raise UserError(_unknown(name, flat, declared))
    with config.ignore_type():  # a schedule may replace a number, and a number a schedule
        config.update_from_flattened_dict({name: value})


def _unknown(name: str, flat: dict, declared: dict[str, Key]) -> str:
    """Return the error message for a flag whose key cannot be set."""
    group, _, field = name.rpartition(".")
    members = [other for other in flat if other.startswith(f"{name}.")]
    if members:
        return f"--config.{name} is a group; set one of: {', '.join(members)}"
    if is_schedule(flat.get(group)):
        return f"--config.{name}: {schedule.unknown(field)}"
    if declared.get(group, UNDECLARED).schedule:
        return f"--config.{name}: config.{group} is a number; the config's file may set a schedule in its place"
    return f"--config.{name}: there is no such key{nearest(name, flat)}"


def _number_or_schedule(name: str, text: str, key: Key) -> float | dict:
    """Parse a number, or a schedule written as a dict of Python or JSON. Raises UserError if the text is neither."""
    if not text.strip().startswith("{"):
        return _parse(name, text, float, 1.0)
    try:
        value = ast.literal_eval(text.strip()) if len(text) <= numbers.LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"--config.{name}={printable(text[:100])}: expected a number, or a schedule {schedule.EXAMPLE}")
    check_schedule(name, value, key)
    return value


def _parse(name: str, text: str, kind: type, default: Any) -> Any:
    """Parse a flag's text as a value of a type. `default` is the present value: the error shows it as an example.

    Raises UserError if the text is no value of this type.
    """
    parsers = {bool: numbers.parse_bool, int: numbers.parse_int, float: float, str: str}
    parsers[tuple] = parsers[list] = functools.partial(_parse_tuple, default)
    if kind not in parsers:
        raise UserError(f"--config.{name}: a value of type {kind.__name__} can be set in the config's file only")
    try:
        return parsers[kind](text)
    except ValueError as error:
        example = f"as in --config.{name}={default}" if default != () else f"as in --config.{name}=a,b"
        raise UserError(f"--config.{name}={printable(text[:100])}: expected {kind.__name__}, {example}") from error


def _parse_tuple(default: tuple, text: str) -> tuple:
    """Parse a tuple; whole floats become ints. Raises ValueError if its entries differ in type from `default`'s."""
    value = numbers.parse_tuple(text)
    if all(isinstance(part, float) and part.is_integer() or isinstance(part, int) for part in value):
        value = tuple(int(part) for part in value)
    if default and any(type(part) is not type(default[0]) for part in value):
        raise ValueError(f"{text} holds values of another type")
    return value


def save(config: ConfigDict, path: Path) -> None:
    """Write the config as JSON, atomically. Raises UserError, which names the file, if it cannot be written."""
    atomic.write_text(path, json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n")


def read(path: Path) -> ConfigDict:
    """Return the locked config that `save` wrote. Raises UserError if the file is missing or damaged."""
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
    """Return the locked config of the JSON that `save` wrote. Keys of every run that it lacks get their defaults.

    Raises ValueError or TypeError if the text is damaged, UserError if a value has the wrong type.
    """

    def tuples(tree):
        if isinstance(tree, dict):
            return {key: tuples(value) for key, value in tree.items()}
        return tuple(tree) if isinstance(tree, list) else tree

    saved = json.loads(text)
    if not isinstance(saved, dict):
        raise ValueError("not a JSON object")
    if "task" not in saved:
        raise UserError("this run was made by an older version of ganjax: sample from it, or resume it, with that one")
    check_types(saved, RUN)
    config = groups.base()
    config.update(ConfigDict(tuples(saved)))
    return config.lock()


def may_change(name: str, declared: dict[str, Key]) -> bool:
    """Return whether a key may change when a run is resumed, or is set by the run itself."""
    key = declared.get(name, UNDECLARED)
    return key.resumable or key.derived


def resume(config: ConfigDict, saved: ConfigDict, workdir: Path) -> dict:
    """Prepare `config` to resume the run whose config is `saved`; return {key: (old, new)} of the changed keys.

    The schedules keep the run's horizon unless `schedule_images` is set. Raises UserError for the first key that
    differs and may not change.
    """
    if not config.schedule_images:
        config.schedule_images = saved.schedule_images
    config.init_from = saved.init_from  # which only its start has read
    if config.data.paired == "auto":
        config.data.paired = saved.data.paired  # which the run decided at its start
    if config.task == "single" and not config.data.width:
        config.data.width = saved.data.width  # which it took from the picture
    declared = groups.keys_of(config)
    request = ("workdir", "step") if not config.branch.workdir else ()
    record = [name for name, key in BRANCH.items() if key.derived]
    config.branch.update({name: saved.branch[name] for name in (*request, *record)})
    old, new = flatten(saved), flatten(config)
    # Keys that `saved` lacks are newer than the run, and are not compared.
    differing = [name for name in sorted(old) if old[name] != new.get(name)]
    changed = {name: (old[name], new.get(name)) for name in differing if not declared.get(name, UNDECLARED).derived}
    for name, (before, after) in changed.items():
        if not may_change(name, declared):
            flags = (f"--config.{name}={before}", f"--config.branch.workdir={workdir}")
            same, branch = map(shlex.quote, flags)
            other = "" if name.startswith("branch.") else f", where {branch} continues from this run's checkpoint"
            raise UserError(
                f"{workdir} holds a run with config.{name} = {before!r}, not {after!r}: this key may not change; "
                f"resume with {same} or choose another --workdir{other}"
            )
    return changed
