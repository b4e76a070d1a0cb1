"""Make names that come from data or from a foreign workdir safe to print and safe as file names."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ganjax.errors import UserError

LONGEST = 100  # bytes of a safe name; file systems allow 255, which must also hold suffixes and temporary names
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u2028\u2029]+')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows, with any ending


def printable(text: str) -> str:
    r"""Return the text with line breaks, control characters and surrogates escaped: "M\xfcller", "a\nb".

    The result is one line that UTF-8 can encode. Bytes of a file name that are not UTF-8 reach Python as lone
    surrogates, which neither a terminal nor a text file accepts.
    """
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else character.encode("unicode_escape").decode()


def safe_name(name: str) -> str:
    """Return a file name, without folders, for any text; a harmless text stays as it is.

    Separators, control characters, surrogates and characters that Windows forbids become "-"; dots and spaces at the
    ends are dropped; a long name is cut and gets a hash of the whole name at its end.
    """
    safe = FORBIDDEN.sub("-", unicodedata.normalize("NFC", name)).strip(". ")
    safe = f"_{safe}" if not safe or RESERVED.fullmatch(safe) else safe
    if len(safe.encode()) > LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = safe.encode()[: LONGEST - 9].decode("utf-8", "ignore") + f"-{digest}"
    return safe


def safe_names(names: Iterable[str]) -> list[str]:
    """Return a `safe_name` for each name; names that would be equal, also but for upper and lower case, are numbered:
    "a", "a-2", ...
    """
    result, in_use = [], set()
    for name in names:
        base = candidate = safe_name(name)
        number = 1
        while candidate.casefold() in in_use:
            number += 1
            candidate = f"{base}-{number}"
        in_use.add(candidate.casefold())
        result.append(candidate)
    return result


def expanded(path: str | Path, flag: str = "") -> Path:
    """Return the path with "~" and "~name" expanded.

    Raises UserError, which names the flag, if the user is unknown or the path holds a NUL character.
    """
    prefix = f"{flag}=" if flag else ""
    if "\0" in str(path):
        raise UserError(f"{prefix}{printable(str(path))}: a path cannot hold a NUL character")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{prefix}{printable(str(path))}: {error}") from error


def check_utf8(folder: Path, flag: str = "") -> None:
    """Raise UserError, which names the flag, if the real path of a run's folder is not UTF-8, which orbax requires."""
    real, prefix = os.path.realpath(folder), f"{flag}=" if flag else ""
    try:
        real.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{prefix}{printable(str(folder))}: checkpoints need a path in UTF-8, which {printable(real)} is not; "
            "rename that folder, or choose another"
        ) from None
