"""Which file of A belongs to which of B: by their names, or by what is left of them without what they differ in."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from ganjax.data import formats
from ganjax.errors import UserError

TOKEN = re.compile(r"\d+|[^\W\d_]+|[\W_]+")  # a number, a word, or what stands between
# Words by which files of one folder say which side they are of, A first.
SIDES = (("a", "b"), ("input", "target"), ("input", "output"), ("source", "target"), ("before", "after"), ("x", "y"))
SHARE = 0.9
SHOWN = 5  # names in a message


class Pairing(NamedTuple):
    """a, b: {name of a file: key}; files of one key are a pair. how: by what, in words."""

    a: dict[str, str]
    b: dict[str, str]
    how: str

    @property
    def shared(self) -> set[str]:
        """The keys of the pairs."""
        return set(self.a.values()) & set(self.b.values())

    @property
    def complete(self) -> bool:
        """Whether each file has a partner."""
        return set(self.a.values()) == set(self.b.values())

    @property
    def unique(self) -> bool:
        """Whether no two files of a side have one key."""
        return all(len(set(side.values())) == len(side) for side in (self.a, self.b))

    def alone(self) -> tuple[list[str], list[str]]:
        """Return the sorted names of A and of B without a partner."""
        shared = self.shared
        return tuple(sorted(n for n, key in side.items() if key not in shared) for side in (self.a, self.b))


def match(a: list[str], b: list[str], sides: tuple[str, str], share: float = SHARE) -> Pairing:
    """Return the pairing by which most files meet: by name, by number ("001" and "1"), or without what all names of a
    side begin or end with ("1_A" and "1_B"); the first of these where they are equal.

    Where no names are equal, another pairing counts only if `share` of the smaller side meets: cameras' numbers meet by
    chance. sides: what to call A and B in messages. Raises UserError if names of a side are equal but for the ending or
    the normal form.
    """
    stems = [_stems(names, side) for names, side in zip((a, b), sides, strict=True)]
    without = [_without_affixes(keys) for keys in stems]
    affixes = " and ".join(" ".join(filter(None, shared)) or "nothing" for _, shared in without)
    candidates = [
        Pairing(*stems, "of one name"),
        Pairing(*map(_numbers, stems), "of one name but for case and leading zeros"),
        Pairing(*(keys for keys, _ in without), f"of one name without {affixes}"),
        Pairing(*(_numbers(keys) for keys, _ in without), f"of one number without {affixes}"),
    ]
    least = 0 if candidates[0].shared else share * min(len(a), len(b))
    others = [c for c in candidates[1:] if c.unique and len(c.shared) >= least]
    return max([candidates[0], *others], key=lambda pairing: len(pairing.shared))  # the first of equals


def sides_of(names: list[str]) -> Pairing | None:
    """Return the pairing of one folder's files, if every name ends or begins with a word for its side: "1_A", "1_B"."""
    tokens = {name: TOKEN.findall(PurePosixPath(stem(name)).name) for name in names}
    for place in (-1, 0):
        words = {name: found[place].casefold() for name, found in tokens.items() if len(found) > 1}
        for pair in SIDES:
            if len(words) == len(names) and set(words.values()) == set(pair):
                a, b = ([name for name in names if words[name] == word] for word in pair)
                pairing = match(a, b, (f"{pair[0]!r}", f"{pair[1]!r}"), share=0)
                if pairing.shared:
                    return pairing
    return None


def stem(name: str) -> str:
    """Return a file's name in NFC, without an image's ending."""
    name = unicodedata.normalize("NFC", name)
    return str(PurePosixPath(name).with_suffix("")) if formats.promises(name) else name


def listed(names: list[str]) -> str:
    """Return the first few names, for a message."""
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def _stems(names: list[str], side: str) -> dict[str, str]:
    first = {}
    for name in names:
        if (key := stem(name)) in first:
            raise UserError(
                f"{side} holds {first[key]!r} and {name!r}, which are one name but for the ending or the spelling of "
                "its accents: rename or remove one, or set --config.data.paired=no if there are no pairs"
            )
        first[key] = name
    return {name: key for key, name in first.items()}


def _numbers(keys: dict[str, str]) -> dict[str, str]:
    """Return the keys with numbers as such, and without case."""
    return {name: re.sub(r"\d+", _plain, key).casefold() for name, key in keys.items()}


def _plain(number: re.Match) -> str:
    return number[0].lstrip("0") or "0"


def _without_affixes(keys: dict[str, str]) -> tuple[dict[str, str], tuple[str, str]]:
    """Return the keys without the words, never numbers, that all begin or end with; and those two."""
    tokens = {name: TOKEN.findall(PurePosixPath(key).name) for name, key in keys.items()}
    end = _strip(tokens.values(), -1)
    start = _strip(tokens.values(), 0)
    left = {name: str(PurePosixPath(key).parent / "".join(tokens[name])) for name, key in keys.items()}
    return left, tuple(repr(affix) if affix else "" for affix in (start, end))


def _strip(tokens: Iterable[list[str]], place: int) -> str:
    """Remove equal words from one end of all, 0 or -1; return what they were. One word at least is left of each."""
    removed = []
    while all(len(found) > 1 for found in tokens):
        words = {found[place] for found in tokens}
        if len(words) != 1 or next(iter(words)).isdigit():
            break
        removed += words
        for found in tokens:
            found.pop(place)
    return "".join(removed if place == 0 else reversed(removed))
