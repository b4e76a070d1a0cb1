"""A download resumes where it broke off, and never joins two different files."""

import hashlib

import numpy as np
import pytest
from serving import serve

from ganjax.system import download

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served():
    with serve(CONTENT, "set.zip") as served:
        yield served


def test_a_connection_that_breaks_off_is_taken_up_again(served, tmp_path):
    served.breaks = [100_000, 50_000]
    assert download.download(served.url, tmp_path / "set.zip.part") == SHA
    assert served.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "set.zip.part").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip.part"]


def test_a_later_call_goes_on_from_what_an_earlier_one_left(served, tmp_path):
    served.breaks = [60_000] + [0] * download.TRIES
    with pytest.raises(download.Unreachable, match="it broke off after 60000 of 300000 bytes"):
        download.download(served.url, tmp_path / "part")
    assert len(served.asked) == 2  # no third try: the second received nothing
    served.breaks, served.asked = [], []
    assert download.download(served.url, tmp_path / "part") == SHA
    assert served.asked == ["bytes=60000-"]


def test_a_file_that_changed_is_fetched_from_its_start(served, tmp_path):
    served.breaks = [60_000, 0]
    with pytest.raises(download.Unreachable):
        download.download(served.url, tmp_path / "part")
    served.content, served.etag, served.breaks = CONTENT[::-1], '"second"', []
    assert download.download(served.url, tmp_path / "part") == hashlib.sha256(CONTENT[::-1]).hexdigest()
    served.content, served.breaks = CONTENT, [299_000, 0]
    with pytest.raises(download.Unreachable):
        download.download(served.url, tmp_path / "part")
    served.content, served.breaks = CONTENT[:1000], []  # shorter than the partial download, with the same ETag
    assert download.download(served.url, tmp_path / "part") == hashlib.sha256(CONTENT[:1000]).hexdigest()


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_what_cannot_be_known_again_starts_anew(served, tmp_path, etag):
    served.etag, served.breaks = etag, [60_000]
    with pytest.raises(download.Unreachable):
        download.download(served.url, tmp_path / "part")
    assert download.download(served.url, tmp_path / "part") == SHA
    assert served.asked == [None, None]


def test_a_file_larger_than_it_may_be_is_stopped(served, tmp_path):
    with pytest.raises(download.Unreachable, match="larger than 1000 bytes"):
        download.download(served.url, tmp_path / "part", limit=1000)
    assert served.asked == [None]


def test_no_server(tmp_path):
    with pytest.raises(download.Unreachable, match="refused"):
        download.download("http://127.0.0.1:9/set.zip", tmp_path / "part")
