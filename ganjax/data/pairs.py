"""Match the files of A and B by name, or by name without the prefix or suffix that all names of a side share."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from ganjax.data import formats
from ganjax.errors import UserError

TOKEN = re.compile(r"\d+|[^\W\d_]+|[\W_]+")  # a number, a word, or a separator
# Words in the names of one folder's files that mark the side: (A, B).
SIDES = (("a", "b"), ("input", "target"), ("input", "output"), ("source", "target"), ("before", "after"), ("x", "y"))
SHARE = 0.9  # of the smaller side that must match if no names are equal
EXAMPLES = 5  # names in a message


class Pairing(NamedTuple):
    """a, b: {file name: key}; files with equal keys are a pair. how: how the names match, in words."""

    a: dict[str, str]
    b: dict[str, str]
    how: str

    @property
    def shared(self) -> set[str]:
        """The keys that both sides have."""
        return set(self.a.values()) & set(self.b.values())

    @property
    def complete(self) -> bool:
        """Whether every file has a partner."""
        return set(self.a.values()) == set(self.b.values())

    @property
    def unique(self) -> bool:
        """Whether no two files of one side have equal keys."""
        return all(len(set(side.values())) == len(side) for side in (self.a, self.b))

    def unmatched(self) -> tuple[list[str], list[str]]:
        """Return the sorted names of A's files and of B's files without a partner."""
        shared = self.shared
        return tuple(sorted(name for name, key in side.items() if key not in shared) for side in (self.a, self.b))


def match(a: list[str], b: list[str], sides: tuple[str, str], share: float = SHARE) -> Pairing:
    """Return the pairing with the most pairs: by equal names, by equal numbers ("001" and "1"), or by either without
    the prefix or suffix that all names of a side share ("1_A" and "1_B"). Of equally good ones, the first wins.

    If no names are equal, a pairing must match `share` of the smaller side, since camera numbers match by chance.
    sides: the names of A and B in messages. Raises UserError if two names of a side differ only in the file ending or
    the Unicode normal form.
    """
    stems = [_stems(names, side) for names, side in zip((a, b), sides, strict=True)]
    without = [_without_affixes(keys) for keys in stems]
    affixes = " and ".join(" ".join(filter(None, shared)) or "nothing" for _, shared in without)
    candidates = [
        Pairing(*stems, "with equal names"),
        Pairing(*map(_numbers, stems), "with equal names but for case and leading zeros"),
        Pairing(*(keys for keys, _ in without), f"with equal names without {affixes}"),
        Pairing(*(_numbers(keys) for keys, _ in without), f"with equal numbers without {affixes}"),
    ]
    minimum = 0 if candidates[0].shared else share * min(len(a), len(b))
    others = [c for c in candidates[1:] if c.unique and len(c.shared) >= minimum]
    return max([candidates[0], *others], key=lambda pairing: len(pairing.shared))  # max returns the first maximum


def sides_of(names: list[str]) -> Pairing | None:
    """Return the pairing of one folder's files if every name ends or begins with a word of `SIDES`, else None."""
    tokens = {name: TOKEN.findall(PurePosixPath(stem(name)).name) for name in names}
    for place in (-1, 0):
        words = {name: parts[place].casefold() for name, parts in tokens.items() if len(parts) > 1}
        for pair in SIDES:
            if len(words) == len(names) and set(words.values()) == set(pair):
                a, b = ([name for name in names if words[name] == word] for word in pair)
                pairing = match(a, b, (f"{pair[0]!r}", f"{pair[1]!r}"), share=0)
                if pairing.shared:
                    return pairing
    return None


def stem(name: str) -> str:
    """Return a file's name in NFC, without the ending of an image file."""
    name = unicodedata.normalize("NFC", name)
    return str(PurePosixPath(name).with_suffix("")) if formats.promises(name) else name


def first_few(names: list[str]) -> str:
    """Return the first few names, for a message."""
    more = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    return ", ".join(map(repr, names[:EXAMPLES])) + more


def _stems(names: list[str], side: str) -> dict[str, str]:
    """Return {name: stem}. Raises UserError if two names have one stem."""
    names_by_stem = {}
    for name in names:
        key = stem(name)
        if key in names_by_stem:
            raise UserError(
                f"{side} holds {names_by_stem[key]!r} and {name!r}, which differ only in the file ending or in the "
                "Unicode form of accents: rename or remove one, or set --config.data.paired=no if there are no pairs"
            )
        names_by_stem[key] = name
    return {name: key for key, name in names_by_stem.items()}


def _numbers(keys: dict[str, str]) -> dict[str, str]:
    """Return the keys in lower case, without leading zeros of numbers."""
    return {name: re.sub(r"\d+", _without_zeros, key).casefold() for name, key in keys.items()}


def _without_zeros(number: re.Match) -> str:
    return number[0].lstrip("0") or "0"


def _without_affixes(keys: dict[str, str]) -> tuple[dict[str, str], tuple[str, str]]:
    """Return the keys without the words (never numbers) that all begin or end with, and these (prefix, suffix)."""
    tokens = {name: TOKEN.findall(PurePosixPath(key).name) for name, key in keys.items()}
    end = _strip(tokens.values(), -1)
    start = _strip(tokens.values(), 0)
    stripped = {name: str(PurePosixPath(key).parent / "".join(tokens[name])) for name, key in keys.items()}
    return stripped, tuple(repr(affix) if affix else "" for affix in (start, end))


def _strip(tokens: Iterable[list[str]], place: int) -> str:
    """Remove the words that all lists share at one end (place 0 or -1), but leave one in each; return them joined."""
    removed = []
    while all(len(parts) > 1 for parts in tokens):
        words = {parts[place] for parts in tokens}
        if len(words) != 1 or next(iter(words)).isdigit():
            break
        removed += words
        for parts in tokens:
            parts.pop(place)
    return "".join(removed if place == 0 else reversed(removed))
