"""Download files with a progress bar, resume interrupted downloads, and compute the sha256 on the way."""

import hashlib
import http.client
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path

from ganjax.system.progress import progress_bar

TIMEOUT, CHUNK, TRIES = 30, 1 << 20, 5  # seconds without a byte; bytes; connections per file
LIMIT = 1 << 30  # largest file of unknown size, in bytes
log = logging.getLogger(__name__)


class Unreachable(Exception):
    """The file could not be downloaded completely; the message says why."""


def download(url: str, part: Path, size: int = 0, limit: int = LIMIT) -> str:
    """Download a file to `part`, resuming what an earlier try left there; return its sha256.

    size: its bytes, if known. A download is resumed only if the server confirms that the file is unchanged, by the ETag
    or date that is saved in the file `part` + ".tag". Raises Unreachable if the download fails: `part` then holds the
    bytes received so far. Raises OSError if the disk is full.
    """
    for left in reversed(range(TRIES)):
        before = part.stat().st_size if resumable(part) else 0
        try:
            return _transfer(url, part, size, limit)
        except Unreachable:
            if not left or not resumable(part) or part.stat().st_size <= before:
                raise
            log.info("the connection broke off; resuming at %.3g MB", part.stat().st_size / 1e6)
    raise AssertionError


def resumable(part: Path) -> bool:
    """Return whether `download` can resume `part`."""
    return part.exists() and _tag(part).exists()


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _transfer(url: str, part: Path, size: int, limit: int) -> str:
    tag = _tag(part)
    start = part.stat().st_size if resumable(part) else 0
    headers = {"Range": f"bytes={start}-", "If-Range": tag.read_text()} if start else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing after `start`: the file is complete, or has changed
            tag.unlink()
            return _transfer(url, part, size, limit)
        raise Unreachable(error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(getattr(error, "reason", None) or error) from error
    with response:
        if start and not _continues(response, start):
            start = 0
        return _write(response, part, start, size, limit)


def _continues(response, start: int) -> bool:
    """Return whether the server sends the bytes from `start` on. If the file has changed, it sends the whole file."""
    begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return response.status == 206 and begins is not None and int(begins[1]) == start


def _write(response, part: Path, start: int, size: int, limit: int) -> str:
    digest, received = hashlib.sha256(), start
    stated = response.headers.get("Content-Length") or ""
    total = start + int(stated) if stated.isdigit() else size
    with part.open("r+b" if start else "wb") as file:
        if start:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        else:
            _write_tag(response, part)
        name = part.name.removesuffix(".part")
        with progress_bar(total=total or None, initial=start, desc=name, unit="B", unit_scale=True) as bar:
            while True:
                try:
                    chunk = response.read(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise Unreachable(f"it broke off after {received} bytes: {error}") from error
                if not chunk:
                    break
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if received > limit:
                    _tag(part).unlink(missing_ok=True)  # never resume this download
                    raise Unreachable(f"it is larger than {limit} bytes")
                bar.update(len(chunk))
    if total and received < total:
        raise Unreachable(f"it broke off after {received} of {total} bytes")
    _tag(part).unlink(missing_ok=True)
    return digest.hexdigest()


def _write_tag(response, part: Path) -> None:
    """Save the ETag or date that identifies this version of the file. A weak ETag does not promise the same bytes."""
    etag, date = response.headers.get("ETag") or "", response.headers.get("Last-Modified")
    validator = etag if etag.startswith('"') else date
    if validator and response.headers.get("Accept-Ranges", "") != "none" and response.url.startswith("http"):
        _tag(part).write_text(validator)
    else:
        _tag(part).unlink(missing_ok=True)
