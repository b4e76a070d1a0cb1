"""Read the pickle of a PyTorch weights file, with only the few instructions that a dict of tensors needs.

The standard unpickler is unsafe for untrusted files, even if it may import nothing: nested keys make it recurse until
the process dies, and a pickle can make it copy stored values again and again. Here each instruction takes time and
memory in proportion to its own bytes, and names in the pickle stay names: nothing is imported.
"""

import pickletools
from typing import Any, NamedTuple

import jax
import numpy as np

LONGEST = 4 << 20  # longest pickle, in bytes: those of the largest networks take a tenth of this
MOST = 1_000_000  # largest number of instructions: a tensor takes about 40
DTYPES = {
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype(jax.dtypes.bfloat16),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
}
DICT, PARAMETER = "collections.OrderedDict", "torch._utils._rebuild_parameter"
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")  # the former before PyTorch 0.4

# Instructions by their effect. All others are refused.
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE"}
LITERALS |= {"SHORT_BINUNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")


class Refused(ValueError):
    """The file is not a plain dict of arrays; the message is the reason alone."""


class Storage(NamedTuple):
    """`count` values of one dtype, stored in the file under `key`."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """A view of a storage. Offset and strides count values; nothing is checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Name(NamedTuple):
    """The name of a function or class in the pickle, such as "collections.OrderedDict"."""

    name: str


class Pickle(NamedTuple):
    """A parsed pickle: its value, the storages that it refers to by key, and its length in bytes."""

    value: Any
    storages: dict[str, Storage]
    length: int


def load(data: bytes) -> Pickle:
    """Parse the pickle at the start of `data`. Its value consists of numbers, strings, Names, Tensors, and of tuples,
    lists and dicts of them. The keys of dicts are strings or integers.

    Raises Refused for any other pickle, and ValueError, KeyError, IndexError, ... for a damaged one.
    """
    machine = _Machine()
    for count, (code, argument, position) in enumerate(pickletools.genops(data[:LONGEST])):  # parses, executes nothing
        if code.name == "STOP":
            return Pickle(machine.pop(), machine.storages, position + 1)
        if count >= MOST:
            raise Refused(f"its pickle has more than {MOST:,} instructions")
        machine.step(code.name, argument)
    raise Refused("its pickle has no end")


class _Machine:
    """The stack machine of a pickle: `step` executes one instruction."""

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, code: str, argument: Any) -> None:
        if code in LITERALS:
            self.stack.append(argument)
        elif code in CONSTANTS:
            self.stack.append(CONSTANTS[code])
        elif code in EMPTY:
            self.stack.append(EMPTY[code]())
        elif code in TUPLES:
            self.stack.append(tuple(self.take(TUPLES[code])))
        elif code in PUTS:
            self.memo[len(self.memo) if code == "MEMOIZE" else argument] = self.top(object)
        elif code in GETS:
            self.stack.append(self.memo[argument])
        elif code == "MARK":
            self.marks.append(len(self.stack))
        elif code in ("TUPLE", "LIST", "DICT"):
            self.collect(code)
        elif code in ("APPEND", "APPENDS"):
            items = self.take(1) if code == "APPEND" else self.marked()
            self.top(list).extend(items)
        elif code in ("SETITEM", "SETITEMS"):
            items = self.take(2) if code == "SETITEM" else self.marked()
            _set(self.top(dict), items)
        elif code in ("GLOBAL", "STACK_GLOBAL"):
            module, name = argument.split(" ", 1) if code == "GLOBAL" else self.take(2)
            self.stack.append(_name(f"{module}.{name}"))
        elif code == "REDUCE":
            self.stack.append(_call(*self.take(2)))
        elif code == "BINPERSID":
            self.stack.append(self.storage(self.pop()))
        elif code == "BUILD":
            self.pop()  # PyTorch's version metadata, which arrays do not need
            self.top(dict)
        elif code not in ("PROTO", "FRAME"):
            raise Refused(f"its pickle has the instruction {code}, which no dict of arrays needs")

    def take(self, count: int) -> list[Any]:
        """Remove the last `count` values and return them. Raises Refused if they reach below the last mark."""
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise Refused("its pickle takes more than it has")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def pop(self) -> Any:
        return self.take(1)[0]

    def marked(self) -> list[Any]:
        """Remove the last mark and return the values above it, which are removed too."""
        if not self.marks:
            raise Refused("its pickle takes more than it has")
        return self.take(len(self.stack) - self.marks.pop())

    def top(self, kind: type) -> Any:
        """Return the last value without removing it. Raises Refused if it is not of this type."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Refused("its pickle adds to what is no container")
        return self.stack[-1]

    def collect(self, code: str) -> None:
        items = self.marked()
        self.stack.append({} if code == "DICT" else tuple(items) if code == "TUPLE" else items)
        if code == "DICT":
            _set(self.stack[-1], items)

    def storage(self, reference: Any) -> Storage:
        if type(reference) is not tuple or not 5 <= len(reference) <= 6:
            raise Refused("it has a storage of an unknown kind")
        kind, storage, key, _, count, *view = reference
        typed = isinstance(storage, Name) and storage.name in DTYPES
        if type(kind) is not str or kind != "storage" or not typed or any(part is not None for part in view):
            raise Refused("it has a storage of an unknown kind")
        if type(key) is not str or type(count) is not int or count < 0:
            raise Refused("a storage's name or size is invalid")
        new = Storage(key, DTYPES[storage.name], count)
        if self.storages.setdefault(key, new) != new:
            raise Refused(f"its storage {key[:100]!r} has two types or sizes")
        return new


def _set(target: dict, items: list[Any]) -> None:
    """Set the keys and values that alternate in `items`. Keys must be strings or integers: hashing a nested tuple may
    take unbounded time.
    """
    if len(items) % 2:
        raise Refused("its pickle has a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int):
            raise Refused(f"a key is {kind(key)}, not a name")
        target[key] = value


def _name(full: str) -> Name:
    if full not in (DICT, PARAMETER, *TENSORS, *DTYPES):
        raise Refused(f"its pickle names {full[:100]}, which no dict of arrays needs (a whole model, or an attack)")
    return Name(full)


def _call(function: Any, arguments: Any) -> Any:
    """Return the result of one of the few functions that PyTorch's files call, without calling the function."""
    if not isinstance(function, Name) or type(arguments) is not tuple or len(arguments) > 8:
        raise Refused("it calls something that is no function, or with too many arguments")
    name, count = function.name, len(arguments)
    if name == DICT and count == 0:
        return {}
    if name == DICT and count == 1 and type(arguments[0]) is list:  # written by Python 2: a list of pairs
        result, pairs = {}, arguments[0][:]
        arguments[0].clear()  # so that a list in the memo cannot be copied again and again
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise Refused("it builds a dict from a list that does not hold pairs")
            _set(result, list(pair))
        return result
    if name == PARAMETER and count and isinstance(arguments[0], Tensor):
        return arguments[0]
    # The seventh argument marks negative or conjugate views, which are refused.
    if name in TENSORS and count >= 4 and all(not part for part in arguments[6:]):
        return Tensor(*arguments[:4])
    raise Refused(f"it calls {name} in a way that PyTorch does not")


def kind(value: Any) -> str:
    """Describe the type of a value for a message."""
    return value.name if isinstance(value, Name) else f"a value of type {type(value).__name__.lower()}"
