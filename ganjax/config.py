"""The configuration of a run: what every recipe shares, and checks."""

import math
import re
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax import damage, kinds, numbers
from ganjax.errors import UserError, nearest
from ganjax.kinds import shown

PRECISIONS = {"float32": (None, jnp.float32), "bfloat16": (jnp.bfloat16, jnp.float32), "float64": (None, jnp.float64)}
INF = float("inf")
IMAGES = 2_000_000_000  # at most: images are counted in 32 bits
WEIGHT = kinds.LARGEST  # at most, of any weight or rate
SIDE = 2**14  # pixels
PENALTIES = ("r1", "r2", "wgan_gp", "wgan_gp_one_sided", "dragan", "lecam", "cr", "bcr", "zcr_d", "zcr_g", "zcr_std")
PENALTIES += ("orthogonal",)
RANGES = {  # inclusive limits; absent keys are skipped
    **dict.fromkeys(("batch_size", "steps_per_call", "accumulate", "report.grid"), (1, 2**20)),
    **dict.fromkeys(("total_images", "schedule_images", "metrics_every_images"), (0, IMAGES)),
    **dict.fromkeys(("report.every_images", "report.samples_every_images", "checkpoint.every_images"), (0, IMAGES)),
    **dict.fromkeys(("checkpoint.every_seconds", "checkpoint.keep_every_images"), (0, IMAGES)),
    **dict.fromkeys(("optimizer.warmup_images", "ema.start_images", "penalty.lecam_start_images"), (0, IMAGES)),
    "ema.half_life_images": (0, IMAGES),
    "metrics_images": (4, IMAGES),
    "data.resolution": (1, SIDE),
    **dict.fromkeys(("data.width", "data.load_size"), (0, SIDE)),
    "data.windows": (0, 16 * SIDE),
    "data.split_at": (0, 2**20),
    "data.max_pixels": (1, 2**40),
    "data.threads": (1, 1024),
    "data.domains": (1, 2),
    "data.atelier.num_images": (2, 10_000_000),
    **dict.fromkeys(("augment.brightness", "augment.contrast", "augment.saturation", "data.max_damaged"), (0, 1)),
    **dict.fromkeys(("ema.ramp", "data.balance", "condition.dropout", "damage.chance", "loss.mirror"), (0, 1)),
    **dict.fromkeys(("model.generator.dropout", "model.discriminator.dropout", "optimizer.decay_start"), (0, 1)),
    **dict.fromkeys(("optimizer.g_lr", "optimizer.d_lr", "optimizer.clip_norm"), (0, WEIGHT)),
    **dict.fromkeys(("optimizer.b1", "optimizer.b2"), (0, 0.999999)),  # 1 divides by 0
    "optimizer.eps": (0, 1),
    **dict.fromkeys(("d_steps", "penalty.every"), (1, 1_000_000)),
    **dict.fromkeys((f"penalty.{name}" for name in PENALTIES), (0, WEIGHT)),
    **dict.fromkeys((f"loss.{name}" for name in ("cycle", "identity", "l1", "nce", "r1", "content")), (0, WEIGHT)),
    **dict.fromkeys(("loss.feature_matching", "loss.instance_noise"), (0, WEIGHT)),
    **dict.fromkeys(("condition.d_weight", "condition.g_weight"), (0, WEIGHT)),
    "penalty.lecam_decay": (0, 0.9999),
    "seed": numbers.SEED,
    "checkpoint.keep_last": (2, IMAGES),  # a damaged last checkpoint needs one before it
    "augment.crop_scale": (0.01, 1),
    "augment.rotate": (0, 180),
    "loss.label_smoothing": (0, 0.5),
    "mesh.data": (-1, 2**20),
    "pool": (0, 1_000_000),
}
OTHERS = {"model.": (-(2**16), 2**16), "": (-IMAGES, IMAGES)}  # of the numbers that RANGES does not name


def base() -> ConfigDict:
    """Return the keys that the loop itself needs. Durations are in images."""
    config = ConfigDict()
    config.recipe = ""  # file name under ganjax/recipes/
    config.seed = 0
    config.batch_size = 64  # global, over all devices and hosts
    config.total_images = 1_000_000
    config.schedule_images = 0  # horizon of the schedules; 0: the total_images that the run began with
    config.steps_per_call = 1  # that the device does in one go: more where steps take less than a few milliseconds
    config.precision = "float32"  # or bfloat16 (compute only), float64 (checks)
    config.deterministic = False  # on a GPU: the same bits each time, slower
    config.metrics = ()  # of EMA samples: ("rand_fd", "swd"); names: launch.py evaluate --list
    config.metrics_images = 1000  # samples, and real images, that they compare
    config.metrics_every_images = 0  # 0: at each checkpoint

    config.data = ConfigDict()
    config.data.name = "atelier"  # folder | mnist | stacked_mnist | atelier | tfds:<name>; `path` alone means folder
    config.data.path = ""
    config.data.domains = 1  # 2 for recipes from image to image: data.a and data.b, or a path that holds both
    config.data.a = ""
    config.data.b = ""
    config.data.paired = "auto"  # yes, no; auto: whether their names say so
    config.data.pairs_fit = "ask"  # where a pair's shapes differ: stretch, B to A's shape, or crop, to the common size
    config.data.split_at = 0.0  # where B begins in pictures that hold both: pixels, or a share; 0: 2:1, in the middle
    config.data.side_by_side = 0.0  # filled in by `train`: width / height of such pictures
    config.data.split = "train"
    config.data.labels = False  # from the first sub-folder, or the data set's own
    config.data.attributes = ""  # what parts a class's name into several: "-"; or "/", every sub-folder's level
    config.data.balance = 0.0  # 0: images as often as they come; 1: all classes equally often
    config.data.resolution = 64  # height
    config.data.width = 0  # 0: square
    config.data.load_size = 0  # height of the cached images, >= resolution; 0: resolution
    config.data.channels = 3  # 1: gray
    config.data.windows = 0  # > 0: folders' images, at most so many pixels a side, in windows of load_size; few suffice
    config.data.fit = "crop"  # or pad, on white
    config.data.max_pixels = 200_000_000  # larger files are skipped
    config.data.max_damaged = 0.05  # share of a folder of more than 100 files
    config.data.threads = 2  # that read and decode
    config.data.resident = "auto"  # all images on the device, as uint8: yes, no, or auto, if they fit
    config.data.classes = ()  # filled in by `train`: names and counts of the labels
    config.data.class_counts = ()
    config.data.atelier = ConfigDict()
    config.data.atelier.num_images = 6000
    config.data.atelier.styles = ()  # empty: all

    config.on_divergence = "stop"  # or rollback: to the last checkpoint, with other noise, three times at most
    config.health = True  # watch for collapse, overfitting, divergence

    config.augment = ConfigDict()  # on the device; off for evaluation
    config.augment.crop_scale = 1.0  # random resized crop: least share of the area; 1: off
    config.augment.flip = True
    config.augment.rotate = 0.0  # degrees, at most, each way
    config.augment.brightness = 0.0  # at most +- this, of the range [-1, 1]
    config.augment.contrast = 0.0  # factor in 1 +- this
    config.augment.saturation = 0.0  # factor in 1 +- this

    config.checkpoint = ConfigDict()
    config.checkpoint.every_images = 50_000
    config.checkpoint.every_seconds = 0.0  # also; 0: off
    config.checkpoint.keep_last = 2
    config.checkpoint.keep_every_images = 0  # also; 0: off
    config.checkpoint.keep_best = ""  # also: "min:name" or "max:name" of a logged scalar

    config.report = ConfigDict()
    config.report.every_images = 2_000  # scalars
    config.report.samples_every_images = 25_000  # grids
    config.report.grid = 64  # images in a grid
    config.report.tensorboard = True

    config.branch = ConfigDict()  # go on in a new workdir, with other settings, from a checkpoint of another run
    config.branch.workdir = ""  # of that run
    config.branch.step = ""  # of that checkpoint: a number, or best; empty: the newest
    config.branch.at = 0  # filled in by `train`, with all below: its step, its images, its hash and what changed
    config.branch.images = 0
    config.branch.attempt = 0  # its rollbacks, whose noise the branch goes on with
    config.branch.checkpoint = ""
    config.branch.changed = ()

    config.mesh = ConfigDict()
    config.mesh.data = -1  # devices; -1: all
    return config


def debug(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config, for `arg` "debug" made to last seconds: small batches, few images, 20 steps. ValueError for
    another variant.
    """
    if arg not in ("", "debug"):
        raise UserError(f"the only variant is :debug, not :{arg}{nearest(arg, ['debug'])}")
    if arg:
        config.batch_size = 8
        config.total_images = 160
        config.data.resolution = min(config.data.resolution, 32)
        config.data.atelier.num_images = 64
        config.checkpoint.every_images = 80
        config.report.every_images = 40
        config.report.samples_every_images = 80
        config.report.grid = 16
    return config


def dtypes(precision: str) -> tuple:
    """Return (compute dtype or None, parameter dtype) of a precision; UserError for one that is not known."""
    if precision not in PRECISIONS:
        raise UserError(f"config.precision = {precision!r} is not known{nearest(precision, PRECISIONS)}")
    return PRECISIONS[precision]


def size(config: ConfigDict) -> tuple[int, int]:
    """Return (height, width) of the images that the nets see."""
    return config.data.resolution, config.data.width or config.data.resolution


def scaled(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Return the widths times a factor, whole numbers of at least 1. UserError for a factor of 0 or less."""
    sound = widths and all(isinstance(width, int) and width > 0 for width in widths)
    if not sound or not 0 < factor < INF:
        raise UserError(f"config.model: widths {tuple(widths)} and the factor width = {factor} must be above 0")
    return tuple(max(1, round(width * factor)) for width in widths)


def horizon(config: ConfigDict) -> int:
    """Return how many images the schedules span."""
    return config.schedule_images or config.total_images


def crosses(step: int, batch_size: int, every: int) -> bool:
    """Say whether the step led over a multiple of `every` images; never for 0."""
    return every > 0 and step * batch_size // every > (step - 1) * batch_size // every


def next_crossing(step: int, batch_size: int, every: int) -> float:
    """Return the first step past `step` that `crosses`; infinity for 0."""
    return -(-(step * batch_size // every + 1) * every // batch_size) if every > 0 else INF


def flatten(config: ConfigDict | dict, prefix: str = "") -> dict:
    """Return {"data.path": value, ...}; lists become tuples, so that JSON and Python compare equal."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict | dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = tuple(value) if isinstance(value, list) else value
    return flat


def _check_number(key: str, value: Any) -> None:
    """UserError, with the limits, for a number, or one in a tuple, that is out of its key's range or not finite."""
    low, high = RANGES.get(key) or next(limits for prefix, limits in OTHERS.items() if key.startswith(prefix))
    for part in value if isinstance(value, tuple) else (value,):
        if key in RANGES and (isinstance(part, bool) or not isinstance(part, int | float)):
            raise UserError(f"config.{key} = {shown(part)} must be a number")
        if isinstance(part, bool) or not isinstance(part, int | float):
            continue
        signed_zero = part == 0 and math.copysign(1, part) < 0
        if not low <= part <= high or signed_zero:
            vast = high in (IMAGES, WEIGHT, 2**20)
            limits = f"at least {low}" if vast and part < low else f"from {low} to {high:.15g}"
            raise UserError(f"config.{key} = {shown(value)} must be {limits}")


def check(config: ConfigDict) -> ConfigDict:
    """Return the config with `data.name` settled, or raise UserError for the first value that cannot be right."""
    if config.metrics is None or isinstance(config.metrics, str):
        with config.unlocked(), config.ignore_type():
            config.metrics = (config.metrics,) if config.metrics else ()
    kinds.check(config, base())
    data = config.data
    if data.path and data.name == base().data.name:
        data.name = "folder"
    config.metrics = tuple(name.strip() for entry in config.metrics for name in entry.split(",") if name.strip())
    for key, value in flatten(config).items():
        _check_number(key, value)
    if config.total_images < config.batch_size:
        raise UserError(f"config.total_images = {config.total_images} is less than one batch of {config.batch_size}")
    if data.load_size and data.load_size < data.resolution:
        raise UserError(f"config.data.load_size = {data.load_size} is smaller than data.resolution = {data.resolution}")
    if data.channels not in (1, 3):
        raise UserError(f"config.data.channels = {data.channels} must be 3 (RGB) or 1 (gray)")
    if data.fit not in ("crop", "pad"):
        raise UserError(f"config.data.fit = {data.fit!r} must be 'crop' or 'pad'")
    if data.paired not in ("auto", "yes", "no", "self"):
        raise UserError(f"config.data.paired = {data.paired!r} must be 'auto', 'yes' or 'no'")
    if data.pairs_fit not in ("ask", "stretch", "crop"):
        raise UserError(f"config.data.pairs_fit = {data.pairs_fit!r} must be 'ask', 'stretch' or 'crop'")
    if "damage" in config and config.damage.kinds:
        data.paired = "self"  # what is damaged and what it was
        try:
            damage.check(config.damage.kinds)
        except ValueError as error:
            raise UserError(f"config.damage.kinds: {error}") from error
    if data.domains == 1 and (data.a or data.b):
        raise UserError(f"config.data.a and data.b: {config.recipe} has one domain; give --config.data.path=FOLDER")
    if data.domains == 2 and data.labels:
        raise UserError(f"config.data.labels: {config.recipe} translates images, and learns from no labels")
    if data.windows and not (data.name in ("folder", "atelier") or (data.a and not data.name.startswith("tfds:"))):
        raise UserError(f"config.data.windows cuts files: set it to 0 for {data.name}")
    if data.resident not in ("auto", "yes", "no"):
        raise UserError(f"config.data.resident = {data.resident!r} must be 'auto', 'yes' or 'no'")
    if config.on_divergence not in ("stop", "rollback"):
        raise UserError(f"config.on_divergence = {config.on_divergence!r} must be 'stop' or 'rollback'")
    if data.attributes and not data.labels:
        raise UserError(f"config.data.attributes = {data.attributes!r} needs --config.data.labels=true")
    if data.balance and not data.labels:
        raise UserError(f"config.data.balance = {data.balance} needs --config.data.labels=true")
    best = config.checkpoint.keep_best
    if best and not re.fullmatch("(min|max):.+", best):
        raise UserError(f"config.checkpoint.keep_best = {best!r} must be 'min:name' or 'max:name', as min:g_loss")
    dtypes(config.precision)
    branch_step(config)
    return config


def branch_step(config: ConfigDict) -> int | str | None:
    """Return the checkpoint that `branch.step` stands for: a step, "best", or None for the newest.

    Raises UserError for another text, and for a step without the run whose it is.
    """
    text = config.branch.step.strip()
    if text and not config.branch.workdir:
        raise UserError(f"config.branch.step = {shown(text)} needs the run to branch: --config.branch.workdir=DIR")
    if text in ("", "best"):
        return text or None
    try:
        step = numbers.whole(text)
    except ValueError:
        step = -1
    if step < 0:
        raise UserError(
            f"config.branch.step = {shown(text)} must be a step, 'best', or empty for the newest checkpoint"
        )
    return step
