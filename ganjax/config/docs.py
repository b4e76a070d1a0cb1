"""Config keys as text: `docs/config.md`, which `python -m ganjax.config.docs` writes, and the list of `--help`."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ganjax.config import groups, schedule
from ganjax.config.derived import flatten
from ganjax.config.game_keys import DAMAGE, ENGINE, FROM_IMAGES, FROM_NOISE, FROM_ONE, Family
from ganjax.config.key import UNDECLARED, VAST, Key, allowed, flat
from ganjax.config.numbers import flag_text
from ganjax.config.recipe_keys import RECIPES
from ganjax.config.run_keys import RUN

COMMAND = "python -m ganjax.config.docs"
PLACE = Path("docs") / "config.md"
NAME, VALUE, LINE = 31, 14, 100  # columns of `listing`
INTRO = f"""# The keys of a config

`{COMMAND}` writes this page from the keys in `ganjax/config/`.
`launch.py train --config=NAME --help` lists the keys of one config with their values.

Every key is a flag, `--config.KEY=VALUE`. Durations and intervals are in images. Keys marked *resume* may change when a
run is resumed; keys marked *by the run* are set by the run itself.

A key marked *a schedule* takes a number or, in a config's file, a schedule:

```python
config.penalty.r1 = {{"kind": "cosine", "from": 2.0, "to": 0.2, "images": 20e6}}
```

The value is `from` at the start of the run and `to` after `images` images, or with `images` 0 at the end of the run;
the kinds are {", ".join(schedule.KINDS)}.
The flag `--config.KEY.to` then sets one field; `--config.KEY` replaces the schedule by a number or another schedule.
"""


def page() -> str:
    """Return the text of docs/config.md."""
    engine, noise = flat(ENGINE), flat(FROM_NOISE.keys)
    images = flat({"loss": FROM_IMAGES.keys["loss"]})
    parts = [INTRO, "## Every run", _table({name: key for name, key in RUN.items() if isinstance(key, Key)})]
    for name, group in RUN.items():
        if not isinstance(group, Key):
            parts += [f"## {name}", _table(flat(group, f"{name}."))]
    parts += ["## Every recipe but SinGAN", _table(engine)]
    parts += ["## Recipes from noise", _table({name: key for name, key in noise.items() if name not in engine})]
    parts += ["## Recipes from images", _table(images), _others(FROM_IMAGES)]
    parts += ["## SinGAN, from a single picture", _table(flat(FROM_ONE.keys)), _others(FROM_ONE)]
    parts += ["## Restoration: damage", _table(flat(DAMAGE, "damage."))]
    parts += ["## Single recipes", _recipes()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _others(family: Family) -> str:
    return f"Their other defaults: {', '.join(f'`{name}` {_code(value)}' for name, value in family.values.items())}."


def _table(keys: dict[str, Key]) -> str:
    rows = [(f"`{name}`", _code(key.default), key.doc, _values(key)) for name, key in keys.items()]
    return _rows(("key", "default", "meaning", "values"), rows)


def _recipes() -> str:
    """Return the table of the recipes' own keys; recipes that declare the same key share a row."""
    owners: dict[tuple[str, Key], list[str]] = {}
    for recipe, group in RECIPES.items():
        for name, key in flat(group).items():
            owners.setdefault((name, key), []).append(recipe)
    ordered = sorted(owners.items(), key=lambda row: row[0][0])
    rows = [(f"`{name}`", _code(key.default), key.doc, _values(key), ", ".join(own)) for (name, key), own in ordered]
    return _rows(("key", "default", "meaning", "values", "recipes"), rows)


def _rows(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [titles, ("---",) * len(titles), *escaped]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def _values(key: Key) -> str:
    """Return in words which values a key takes, and its marks: a schedule, resume, by the run."""
    marks = {"a *schedule*": key.schedule, "*resume*": key.resumable, "*by the run*": key.derived}
    return "; ".join(filter(None, (allowed(key), *(mark for mark, applies in marks.items() if applies))))


def _code(value: Any) -> str:
    return f"`{text(value)}`"


def text(value: Any) -> str:
    """Return a value as a flag takes it; a schedule in words."""
    if not schedule.is_schedule(value):
        return flag_text(value)
    first, last, images = (flag_text(value[field]) for field in schedule.FIELDS[1:])
    return f"{value['kind']} from {first} to {last} over {f'{images} images' if value['images'] else 'the run'}"


def listing(config: ConfigDict) -> str:
    """Return the keys of a config, group by group, each with its value and its description."""
    declared, values, blocks = groups.keys_of(config), flatten(config), {}
    for name in sorted(values, key=[*declared, *values].index):
        key = declared.get(name, UNDECLARED)
        if not key.derived:
            group = name.partition(".")[0] if "." in name else ""
            blocks.setdefault(group, []).append(_lines(name, text(values[name]), key))
    first = blocks.pop("", [])
    return "\n\n".join("\n".join(lines) for lines in (first, *blocks.values()) if lines)


def _lines(name: str, value: str, key: Key) -> str:
    """Return the lines of one key, in three columns: name, value, description."""
    notes = (allowed(key) if key.choices or key.high not in VAST else "", "schedule" if key.schedule else "")
    marks = "; ".join(filter(None, notes))
    words = f"{key.doc} ({marks})" if marks else key.doc
    head, indent = f"  {name:<{NAME}} {value:<{VALUE}} ", " " * (NAME + VALUE + 4)
    lines = textwrap.wrap(words, LINE - len(indent), break_on_hyphens=False) or [""]
    fits = len(head) == len(indent)
    lines = [head + lines[0], *(indent + line for line in lines[1:])] if fits else [head, *(indent + x for x in lines)]
    return "\n".join(line.rstrip() for line in lines if line.strip())


if __name__ == "__main__":
    PLACE.write_text(page())
    print(f"written: {PLACE}")
