"""Labels from a dataset.json, as StyleGAN's dataset tool writes it: {"labels": [["00000/img.png", 3], ...]}."""

import json
import unicodedata

from ganjax.errors import UserError
from ganjax.system.names import printable

NAMES = ("classes", "class_names", "label_names", "categories")  # keys under which tools store the class names


def labels(text: bytes, where: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return ({NFC file name: class index}, class names in the order of their numbers), ({}, ()) if "labels" is null.

    Classes are the numbers that occur; a list in the file may name them, or else the number is the name. where: the
    file's name in messages. Raises UserError for another form.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is damaged: {printable(str(error))}") from error
    pairs = content.get("labels", ...) if isinstance(content, dict) else ...
    if pairs is None:
        return {}, ()
    if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
        raise UserError(
            f'{where} must hold {{"labels": [["folder/name.png", 3], ...]}}, one class number for each file; remove it '
            "to use the sub-folders as classes"
        )
    numbers = sorted({number for _, number in pairs})
    index = {number: i for i, number in enumerate(numbers)}
    names = next((content[key] for key in NAMES if isinstance(content.get(key), list | dict)), {})
    classes = [_name(names, number) for number in numbers]
    if len(set(classes)) < len(classes):
        raise UserError(f"{where} gives two classes one name: {next(c for c in classes if classes.count(c) > 1)}")
    return {unicodedata.normalize("NFC", name): index[number] for name, number in pairs}, tuple(classes)


def _is_pair(pair) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and type(pair[1]) is int
        and 0 <= pair[1] < 1 << 31
    )


def _name(names: list | dict, number: int) -> str:
    """Return the name of a class in `names`, a list, {"3": name} or {name: 3}; the number if it has none there."""
    if isinstance(names, list):
        name = names[number] if number < len(names) else None
    else:
        name = names.get(str(number)) or next((key for key, value in names.items() if value == number), None)
    return unicodedata.normalize("NFC", printable(name)) if isinstance(name, str) and name else str(number)
