"""Read the pickle in a PyTorch file of weights, by the few instructions that a dict of tensors needs.

The standard unpickler serves for no foreign file, even where it may import nothing: it recurses through nested keys
until the process dies, and copies what is kept as often as it is told. Here each instruction takes time and memory in
proportion to its own bytes, and every name in the pickle stands for itself, not for the thing that it names.
"""

import pickletools
from typing import Any, NamedTuple

import jax
import numpy as np

LONGEST = 4 << 20  # bytes of a pickle, at most: those of the largest networks take a tenth
MOST = 1_000_000  # instructions: about 40 a tensor
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

# Instructions by what they do. Those that are not here are refused.
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE"}
LITERALS |= {"SHORT_BINUNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")


class Refused(ValueError):
    """What is in the file is not a plain dict of arrays."""


class Storage(NamedTuple):
    """count values of one dtype, kept in the file under a key."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """A view of a storage, in values; nothing of it has been checked."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Name(NamedTuple):
    """A name in the pickle, as it stands there."""

    name: str


class Pickle(NamedTuple):
    """What a pickle holds, the storages that it speaks of, and its length in bytes."""

    value: Any
    storages: dict[str, Storage]
    length: int


def load(data: bytes) -> Pickle:
    """Return what the pickle at the start of `data` holds: numbers, strings, Names, Tensors, and tuples, lists and
    dicts of them. The keys of dicts are strings or integers.

    Raises Refused, or what a damaged pickle raises (ValueError, KeyError, IndexError, ...), for anything else.
    """
    machine = _Machine()
    for count, (code, argument, place) in enumerate(pickletools.genops(data[:LONGEST])):  # reads, and runs nothing
        if code.name == "STOP":
            return Pickle(machine.pop(), machine.storages, place + 1)
        if count >= MOST:
            raise Refused(f"its pickle has more than {MOST:,} instructions")
        machine.step(code.name, argument)
    raise Refused("its pickle has no end")


class _Machine:
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
            self.pop()  # PyTorch's notes on versions, which no array needs
            self.top(dict)
        elif code not in ("PROTO", "FRAME"):
            raise Refused(f"its pickle has the instruction {code}, which no dict of arrays needs")

    def take(self, count: int) -> list[Any]:
        """Remove the last `count` values, which may not lie below the last mark."""
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise Refused("its pickle takes more than it has")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def pop(self) -> Any:
        return self.take(1)[0]

    def marked(self) -> list[Any]:
        """Remove the last mark and what lies above it."""
        if not self.marks:
            raise Refused("its pickle takes more than it has")
        return self.take(len(self.stack) - self.marks.pop())

    def top(self, kind: type) -> Any:
        """Return the last value, which stays."""
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
            raise Refused("a storage's name or size makes no sense")
        new = Storage(key, DTYPES[storage.name], count)
        if self.storages.setdefault(key, new) != new:
            raise Refused(f"its storage {key[:100]!r} has two types or sizes")
        return new


def _set(target: dict, items: list[Any]) -> None:
    """Set keys and values in turn. A key is a string or an integer: the hash of anything nested has no bound."""
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
    """Return what the few functions that PyTorch's files name would give, by our own means."""
    if not isinstance(function, Name) or type(arguments) is not tuple or len(arguments) > 8:
        raise Refused("it calls what is no function, or with too many arguments")
    name, count = function.name, len(arguments)
    if name == DICT and count == 0:
        return {}
    if name == DICT and count == 1 and type(arguments[0]) is list:  # of Python 2: a list of pairs
        made, pairs = {}, arguments[0][:]
        arguments[0].clear()  # so that a list that is kept cannot be copied again and again
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise Refused("it has a dict of what are no pairs")
            _set(made, list(pair))
        return made
    if name == PARAMETER and count and isinstance(arguments[0], Tensor):
        return arguments[0]
    # The seventh argument: negative or conjugate views.
    if name in TENSORS and count >= 4 and all(not part for part in arguments[6:]):
        return Tensor(*arguments[:4])
    raise Refused(f"it calls {name} in a way that PyTorch does not")


def kind(value: Any) -> str:
    """Return what a value is, for a message."""
    return value.name if isinstance(value, Name) else f"a value of type {type(value).__name__.lower()}"
