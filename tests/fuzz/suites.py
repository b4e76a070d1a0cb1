"""What is fuzzed: each suite is (seed, index) -> None, or an exception that says how the case ended.

UserError and ImageError are refusals; WrongResult is a result that must not be; anything else is a traceback.
"""

import functools
import json
from pathlib import Path

import numpy as np
from fuzz import array_files, checkpoints, picture_files
from fuzz.harness import demand, folder
from ml_collections import ConfigDict
from PIL import Image

ROOT = Path(__file__).parents[2]
SIZE = (24, 20)


# Images.


def read(seed: int, index: int, how: str = "crop", channels: int = 3) -> None:
    from ganjax.data import images

    case = picture_files.make(seed, index)
    image = images.read(case.data, channels)
    demand(image.mode == ("RGB" if channels == 3 else "L"), image.mode)
    if case.pixels is not None and channels == 3:
        demand(np.array_equal(np.asarray(image), case.pixels), "the pixels of a whole file differ")
    pixels = images.fit(image, *SIZE, how)
    demand(pixels.shape == (*SIZE, channels) and pixels.dtype == np.uint8, f"{pixels.dtype} {pixels.shape}")


def header(seed: int, index: int) -> None:
    from ganjax.data import images

    case = picture_files.make(seed, index)
    with folder() as out:
        (out / f"a{case.ending}").write_bytes(case.data)
        size = images.size(out / f"a{case.ending}")
    if case.pixels is not None:
        demand(size == case.pixels.shape[:2], f"{size} of an image of {case.pixels.shape}")


def translate(seed: int, index: int) -> None:
    """At strength 0: the image as it is, in its format, whatever a net would make of it."""
    from ganjax.data.images import ImageError
    from ganjax.inference import files
    from ganjax.inference import tiles as translation

    def model(picture, **_):
        # Without alpha nothing but the net's own work, which takes more than files may, lies between reader and writer.
        return translation._picture(picture, 3, 0.0, np.copy) if picture.alpha else picture.colour

    model.config = ConfigDict({"data": {"max_pixels": 200_000_000}})
    case = picture_files.make(seed, index)
    with folder() as out:
        (out / f"a{case.ending}").write_bytes(case.data)
        done = files.translate(model, str(out / f"a{case.ending}"), str(out / "made"))
        for _, reason in done.failed:
            raise ImageError(reason)
        written = list((out / "made").iterdir())
        demand(len(written) == 1, f"{len(written)} files were written")
        with Image.open(written[0]) as image:
            image.load()
            same = case.pixels is None or image.format == "JPEG" or image.has_transparency_data or np.array_equal(
                np.asarray(image.convert("RGB")), case.pixels)  # fmt: skip
        demand(same, "the pixels of a whole file differ")


# Configs.

FLAGS = (
    "",
    "0",
    "-1",
    "-0.0",
    "nan",
    "inf",
    "1e400",
    "1e6",
    "1e999999999",
    "9" * 400,
    "None",
    "true",
    "()",
    "(1,",
    "a,b",
)
SCHEDULE = {"kind": "linear", "from": 1, "to": 0.5, "images": 8}
FLAGS += (str(SCHEDULE), "{'kind': 'linear', 'to': nan}", "{" * 300)
FLAGS += ("[[]]", "{'a': 1}", "\ud800", "a\nb", "..", "0.5", "2", "65537", "(" * 300, "('a', 1)", "4294967296")
VALUES = (
    None,
    True,
    0,
    -1,
    1,
    3,
    0.5,
    -0.0,
    1e400,
    float("nan"),
    10**30,
    2**31 - 1,
    65536,
    "",
    "x",
    "\0\ud800\n",
    [],
    {},
)
VALUES += (SCHEDULE, {**SCHEDULE, "to": "x"}, {**SCHEDULE, "images": 10**400}, {"kind": "linear"})
VALUES += ([1, "a"], [[[]]], [0], [-1, 2], ["swd"], {"a": 1})


@functools.cache
def keys(file: str) -> tuple[tuple[str, ...], str]:
    """Return the keys of a config, and the config as JSON."""
    from ganjax.config import file as config_file
    from ganjax.config.derived import flatten

    config = config_file.load_file(f"{file}:debug", [])
    return tuple(flatten(config)), json.dumps(config.to_dict())


def config(seed: int, index: int) -> None:
    """One to three odd flags, or odd values of a config.json: read, checked and traced as `train` does."""
    from ganjax.config import file as config_file
    from ganjax.config.check import check
    from ganjax.training.run import check_recipe
    from ganjax.workdir import run_folder

    rng = np.random.default_rng([seed, index])
    names = sorted(path.stem for path in (ROOT / "configs").glob("**/[!_]*.py") if path.parent.name != "sweeps")
    file = names[index % len(names)]
    chosen = rng.choice(keys(file)[0], rng.integers(1, 4), replace=False)
    if rng.integers(2):
        flags = [f"--config.{key}={FLAGS[rng.integers(len(FLAGS))]}" for key in chosen]
        found = config_file.load_file(f"{file}:debug", flags)
    else:
        text = _damaged_json(rng, keys(file)[1], chosen)
        with folder() as out:
            (out / "config.json").write_bytes(text)
            found = run_folder.read_config(out)
    found = check(found.copy_and_resolve_references())
    check_recipe(found)


def _damaged_json(rng: np.random.Generator, text: str, chosen) -> bytes:
    if rng.random() < 0.2:
        data = bytearray(text.encode())
        start = int(rng.integers(len(data)))
        data[start : start + int(rng.integers(1, 30))] = bytes([rng.integers(256)])
        return bytes(data)
    tree = json.loads(text)
    for key in chosen:
        *groups, name = key.split(".")
        functools.reduce(dict.__getitem__, groups, tree)[name] = VALUES[rng.integers(len(VALUES))]
    return json.dumps([tree] if rng.random() < 0.03 else tree).encode()


# Arrays.


def arrays(seed: int, index: int) -> None:
    from ganjax.metrics import sources
    from ganjax.system import array_files as reader
    from ganjax.system import pth

    kind, data, whole = array_files.make(seed, index)
    form = kind.partition("_")[0]
    with folder() as out:
        path = out / f"a.{form}"
        path.write_bytes(data)
        if form == "npz":
            side = sources.read(str(path))
            demand(np.array_equal(side.images, array_files.IMAGES), "the images differ")  # a zip has checksums
            demand(side.labels is None or np.array_equal(side.labels, array_files.LABELS), "the labels differ")
            demand(not whole or side.labels is not None, "the labels are gone")
            return
        found = pth.read(path) if form == "pth" else reader.read_safetensors(path)[0]
        found = {name: np.array(array) for name, array in found.items()}
    if whole or kind == "pth":
        demand(sorted(found) == ["a", "b"], f"{sorted(found)}")
        same = [np.array_equal(np.ravel(array), array_files.FLOATS) for array in found.values()]
        demand(all(same) and found["b"].shape == (4, 6), "the arrays differ")


SUITES = {
    "read, crop": read,
    "read, pad": functools.partial(read, how="pad"),
    "read, grey": functools.partial(read, channels=1),
    "size": header,
    "translate, strength 0": translate,
    "config": config,
    "checkpoint": checkpoints.damaged,
    "arrays": arrays,
}
IMAGES = list(SUITES)[:5]


# Cases that end badly, to see that the harness tells.


def _probe_crash(seed: int, index: int) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def _probe_memory(seed: int, index: int) -> None:
    np.ones(300 << 20)


def _probe_hang(seed: int, index: int) -> None:
    while True:
        pass


def _probe_untidy(seed: int, index: int) -> None:
    from ganjax.errors import UserError

    raise UserError("two\nlines")


PROBES = {
    "probe: crash": _probe_crash,
    "probe: memory": _probe_memory,
    "probe: untidy": _probe_untidy,
    "probe: traceback": lambda seed, index: {}["none"],
    "probe: wrong": lambda seed, index: demand(False, "wrong"),
    "probe: hang": _probe_hang,
    "probe: right": lambda seed, index: None,
}
SUITES |= PROBES
