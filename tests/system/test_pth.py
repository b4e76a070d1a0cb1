import io
import os
import pickle
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.system import pickles, pth

FIXTURES = Path(__file__).parents[1] / "fixtures"
FLOATS = np.arange(24, dtype=np.float32)

# These functions write a pickle opcode by opcode, so that tests can write what no honest program would.


def name(full):
    module, _, last = full.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def number(i):
    return f"I{i}\n".encode()


def text(word):
    return f"V{word}\n".encode()


def several(*items):
    return b"(" + b"".join(items) + b"t"


def call(function, *args):
    return name(function) + several(*args) + b"R"


def storage(key="0", count=24, kind="torch.FloatStorage"):
    return several(text("storage"), name(kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(shape, strides, offset=0, values=None):
    sizes, steps = (several(*map(number, counts)) for counts in (shape, strides))
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", values or storage(), number(offset), sizes, steps, b"I00\n", hooks)


def dictionary(**entries):
    return b"(" + b"".join(text(key) + value for key, value in entries.items()) + b"d"


def save_zip(path, body, data=FLOATS):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", data.tobytes())
        archive.writestr("archive/version", "3\n")


def save_legacy(path, body, data=FLOATS):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    parts += [b"\x80\x02" + body + b".", pickle.dumps(["0"], 2), len(data).to_bytes(8, "little"), data.tobytes()]
    path.write_bytes(b"".join(parts))


FORMATS = pytest.mark.parametrize("save", [save_zip, save_legacy])


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_pytorchs_own_files_are_read(form):
    arrays = pth.read(FIXTURES / f"tensors_{form}.pth")  # by make_feature_nets.py
    grid = FLOATS.reshape(2, 3, 4)
    expected = {
        "float": grid,
        "transposed": grid.transpose(2, 1, 0),
        "slice": grid[1, 1:, ::2],
        "parameter": grid[0],
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(3),
        "double": grid.astype(np.float64),
        "half": grid.astype(np.float16),
        "bfloat16": grid,
        "long": grid.astype(np.int64),
        "bool": grid > 3,
        "byte": grid.astype(np.uint8),
    }
    assert list(arrays) == list(expected)
    for key, array in expected.items():
        assert arrays[key].dtype == ("bfloat16" if key == "bfloat16" else array.dtype), key
        np.testing.assert_array_equal(arrays[key].astype(array.dtype), array, key)


@FORMATS
def test_views_of_a_storage_are_read(tmp_path, save):
    save(tmp_path / "a.pth", dictionary(a=tensor((4, 2), (1, 12), 3), b=tensor((), (), 23)))
    arrays = pth.read(tmp_path / "a.pth")
    np.testing.assert_array_equal(arrays["a"], [[3, 15], [4, 16], [5, 17], [6, 18]])
    assert arrays["b"] == 23 and not arrays["a"].flags.writeable


@FORMATS
def test_a_state_dict_within_a_dict_is_found(tmp_path, save):
    save(tmp_path / "a.pth", dictionary(epoch=number(3), state_dict=dictionary(a=tensor((2,), (1,)))))
    assert list(pth.read(tmp_path / "a.pth")) == ["a"]


def attack(path):
    """Yield (name, pickle); an unpickler that executes it creates the file `path`."""
    command = text(f"touch {path}")
    shell, python = call("posix.system", command), call("builtins.eval", text(f"open({str(path)!r}, 'w')"))
    yield "posix.system", dictionary(a=shell)
    yield "os.system", dictionary(a=call("os.system", command))
    yield "eval", dictionary(a=python)
    yield "getattr", dictionary(a=call("builtins.getattr", name("os.system").replace(b"system", b"path"), text("os")))
    yield "INST", b"(" + command + b"iposix\nsystem\n"
    yield "OBJ", b"(" + name("posix.system") + command + b"o"
    yield "NEWOBJ", name("subprocess.Popen") + several(command) + b"\x81"
    yield "STACK_GLOBAL", text("posix") + text("system") + b"\x93" + several(command) + b"R"
    yield "dotted name", text("torch._utils") + text("os.system") + b"\x93" + several(command) + b"R"
    yield "BUILD", call("collections.OrderedDict") + dictionary(items=shell) + b"b"
    # BUILD may not change the meaning of a name, in this pickle or the next.
    yield "BUILD on a name", name("collections.OrderedDict") + several(b"N", dictionary(name=text("x"))) + b"b"
    yield "BUILD on a dtype", name("torch.FloatStorage") + dictionary(name=text("torch.LongStorage")) + b"b"
    yield "NEWOBJ of a name", name("collections.OrderedDict") + several() + b"\x81"
    yield "extension", b"\x82\x01"
    yield "call of a storage", dictionary(a=call("torch.FloatStorage", number(1 << 40)))
    yield "odd arguments", dictionary(a=call("torch._utils._rebuild_tensor_v2", number(1)))
    yield "a parameter of nothing", dictionary(a=call("torch._utils._rebuild_parameter", command))
    yield "a dict of a dict", dictionary(a=call("collections.OrderedDict", number(3)))
    yield "persistent id", b"N" + b"Q"


def out_of_bounds():
    yield "too long", tensor((25,), (1,))
    yield "offset", tensor((24,), (1,), 1)
    yield "stride", tensor((2, 12), (13, 1))
    yield "negative stride", tensor((3,), (-1,), 5)
    yield "negative offset", tensor((3,), (1,), -1)
    yield "negative size", tensor((-1, 3), (1, 1))
    yield "expanded", tensor((1 << 40,), (0,))
    yield "ranks differ", tensor((2, 2), (1,))
    yield (
        "float size",
        call("torch._utils._rebuild_tensor_v2", storage(), number(0), several(b"F2.0\n"), several(b"I1\n")),
    )
    yield "bool size", tensor((1,), ("01",))
    yield "storage of a size that is not there", tensor((25,), (1,), 0, storage(count=25))
    yield "storage that is not there", tensor((2,), (1,), 0, storage(key="1"))
    yield "huge storage", tensor((2,), (1,), 0, storage(count=1 << 60))
    yield "no storage", tensor((2,), (1,), 0, number(3))
    yield "unknown storage", tensor((2,), (1,), 0, storage(kind="torch.QInt8Storage"))
    yield "two types", tensor((2,), (1,)) + b"0" + tensor((2,), (1,), 0, storage(kind="torch.IntStorage"))
    yield "memo", b"N" + b"r\xff\xff\xff\x7f"


@FORMATS
def test_attacks_are_refused_and_nothing_runs(tmp_path, save):
    mark = tmp_path / "mark"
    for what, body in attack(mark):
        save(tmp_path / "bad.pth", body)
        with pytest.raises(UserError, match="bad.pth is refused: "):
            print(what, pth.read(tmp_path / "bad.pth"))
        assert not mark.exists(), what
    save(tmp_path / "good.pth", dictionary(a=tensor((2,), (1,))))
    assert pth.read(tmp_path / "good.pth")["a"].dtype == np.float32


def test_the_attacks_are_real(tmp_path):
    attacks = dict(attack(tmp_path / "mark"))
    for what in ("posix.system", "STACK_GLOBAL", "BUILD"):
        pickle.loads(b"\x80\x02" + attacks[what] + b".")
        assert (tmp_path / "mark").exists(), what
        os.remove(tmp_path / "mark")


@FORMATS
def test_no_array_reaches_out_of_its_storage(tmp_path, save):
    for what, body in out_of_bounds():
        save(tmp_path / "bad.pth", dictionary(a=body))
        with pytest.raises(UserError, match="bad.pth is refused: "):
            print(what, pth.read(tmp_path / "bad.pth"))


def bombs():
    """Yield (name, pickle); each would exhaust a plain unpickler's stack or memory, or take it hours."""
    deep, memo = 60_000, several(*[number(1)] * 50_000) + b"q\x00"
    yield "a tuple nested deeply, as a key", b"})" + b"\x85" * deep + b"K\x01s"
    yield "a list nested deeply", b"]" * deep + b"a" * (deep - 1)
    yield "a dict nested deeply", b"}" + b"K\x00}" * deep + b"s" * deep
    yield "a tuple that doubles, as a key", b"})" + b"q\x00h\x00\x86" * 100 + b"K\x01s"
    yield "a frozen set", b"(" + b")" * 1000 + b"\x91"
    yield "deep calls", name("collections.OrderedDict") + b")R" + b"\x85R" * deep
    yield (
        "a list that is copied",
        b"](" + b"]K\x00a" * 9 + b"eq\x00" + (name("collections.OrderedDict") + b"h\x00\x85R0") * 9,
    )
    yield "long arguments, over and over", memo + (name("torch._utils._rebuild_tensor_v2") + b"h\x00R0") * 9
    yield "a number of 3 MB", b"\x8b" + (3 << 20).to_bytes(4, "little") + b"\x7f" * (3 << 20)
    yield "a number of a gigabyte", b"\x8b" + (1 << 30).to_bytes(4, "little") + b"\x7f" * 100
    yield "a text of a gigabyte", b"X" + (1 << 30).to_bytes(4, "little") + b"a" * 100
    yield "a text of 2^60 bytes", b"\x8d" + (1 << 60).to_bytes(8, "little") + b"a" * 100
    yield "a frame of 2^60 bytes", b"\x95" + (1 << 60).to_bytes(8, "little")
    yield "a number of a million digits", b"I" + b"9" * 1_000_000 + b"\n"
    yield "many instructions", b"]0" * 150_000
    yield "many dimensions", dictionary(a=tensor((1 << 60,) * 50_000, (1,) * 50_000))
    yield "more than its marks", b"(K\x01(t\x86"


@FORMATS
def test_pickles_that_would_cost_the_process_are_refused_quickly(tmp_path, save, monkeypatch):
    monkeypatch.setattr(pickles, "MOST", 150_000)
    for what, body in bombs():
        save(tmp_path / "bad.pth", body)
        started = time.process_time()
        with pytest.raises(UserError, match="bad.pth is refused: ") as refused:
            print(what, pth.read(tmp_path / "bad.pth"))
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 400, what
        assert time.process_time() - started < 5, what


def test_tensors_that_share_their_numbers_without_end_are_refused(tmp_path):
    view = tensor((24,), (1,))
    save_zip(tmp_path / "tied.pth", dictionary(a=view, b=view))
    assert len(pth.read(tmp_path / "tied.pth")) == 2
    save_zip(tmp_path / "many.pth", dictionary(**{f"k{i}": view for i in range(50)}))
    with pytest.raises(UserError, match="views of the same numbers"):
        pth.read(tmp_path / "many.pth")


def test_members_of_an_archive_that_claim_more_than_it_has_are_refused(tmp_path):
    save_zip(tmp_path / "a.pth", dictionary(a=tensor((24,), (1,))))
    whole = (tmp_path / "a.pth").read_bytes()
    place = whole.index(b"PK\x01\x02")  # the first entry of the directory: the pickle's
    lies = whole[: place + 20] + (0x7FFFFFFF).to_bytes(4, "little") * 2 + whole[place + 28 :]
    (tmp_path / "a.pth").write_bytes(lies)
    with pytest.raises(UserError, match="claim more bytes than the file has"):
        pth.read(tmp_path / "a.pth")


def test_dicts_as_python_2_wrote_them_are_read(tmp_path):
    pairs = b"(" + b"(" + text("a") + tensor((2,), (1,)) + b"l" + b"l"
    save_zip(tmp_path / "a.pth", name("collections.OrderedDict") + pairs + b"\x85R")
    assert list(pth.read(tmp_path / "a.pth")) == ["a"]


@FORMATS
def test_what_is_not_a_dict_of_arrays_is_refused(tmp_path, save):
    bodies = [tensor((2,), (1,)), several(number(1)), dictionary(a=number(1)), b"N", b"(" + number(1) + b"Nd"]
    for body in [*bodies, dictionary(a=name("torch.FloatStorage")), name("collections.OrderedDict")]:
        save(tmp_path / "bad.pth", body)
        with pytest.raises(UserError, match="not an array|not a dict of arrays|not a name|not those"):
            pth.read(tmp_path / "bad.pth")


@FORMATS
def test_files_cut_anywhere_are_refused(tmp_path, save):
    save(tmp_path / "whole.pth", dictionary(a=tensor((24,), (1,))))
    whole = (tmp_path / "whole.pth").read_bytes()
    for end in range(0, len(whole) - 1, 7):
        (tmp_path / "cut.pth").write_bytes(whole[:end])
        with pytest.raises(UserError, match="cut.pth is refused: "):
            pth.read(tmp_path / "cut.pth")


def test_torchscript_big_endian_and_compressed_archives_are_refused(tmp_path):
    for reason, entries, compression in (
        ("TorchScript", {"net/data.pkl": b"", "net/constants.pkl": b"", "net/code/net.py": b""}, zipfile.ZIP_STORED),
        ("big-endian", {"a/data.pkl": b"", "a/byteorder": b"big"}, zipfile.ZIP_STORED),
        ("not PyTorch's", {"a/data.pkl": bytes(1000)}, zipfile.ZIP_DEFLATED),
        ("not PyTorch's", {"a/data.pkl": b"", "b/data.pkl": b""}, zipfile.ZIP_STORED),
        ("not PyTorch's", {"word/document.xml": b""}, zipfile.ZIP_STORED),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)
        (tmp_path / "bad.pth").write_bytes(buffer.getvalue())
        with pytest.raises(UserError, match=reason):
            pth.read(tmp_path / "bad.pth")


def test_other_files_and_missing_ones_are_named(tmp_path):
    (tmp_path / "page.pth").write_text("<html>404</html>")
    with pytest.raises(UserError, match="page.pth is refused: it is in neither"):
        pth.read(tmp_path / "page.pth")
    with pytest.raises(UserError, match="none.pth cannot be read: No such file"):
        pth.read(tmp_path / "none.pth")


def test_take_names_what_is_missing_or_misshapen():
    assert pth.take({"a": FLOATS}, "a", (24,), "net") is FLOATS
    with pytest.raises(UserError, match="weights of net: 'b' is missing"):
        pth.take({"a": FLOATS}, "b", (24,), "net")
    with pytest.raises(UserError, match=r"'a' is \(24,\), not \(23,\)"):
        pth.take({"a": FLOATS}, "a", (23,), "net")
