"""The ranges of a config's values, and what cannot be right together."""

import math
import re
from typing import Any

from ml_collections import ConfigDict

from ganjax import rng
from ganjax.config import numbers, value_types
from ganjax.config.derived import dtypes, flatten
from ganjax.config.groups import base
from ganjax.config.value_types import shown
from ganjax.errors import UserError

IMAGES = 2_000_000_000  # at most: images are counted in 32 bits
WEIGHT = value_types.LARGEST  # at most, of any weight or rate
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
    "seed": rng.SEED,
    "checkpoint.keep_last": (2, IMAGES),  # a damaged last checkpoint needs one before it
    "augment.crop_scale": (0.01, 1),
    "augment.rotate": (0, 180),
    "loss.label_smoothing": (0, 0.5),
    "mesh.data": (-1, 2**20),
    "pool": (0, 1_000_000),
}
OTHERS = {"model.": (-(2**16), 2**16), "": (-IMAGES, IMAGES)}  # of the numbers that RANGES does not name


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
    value_types.check(config, base())
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
    if data.paired not in ("auto", "yes", "no"):
        raise UserError(f"config.data.paired = {data.paired!r} must be 'auto', 'yes' or 'no'")
    if data.pairs_fit not in ("ask", "stretch", "crop"):
        raise UserError(f"config.data.pairs_fit = {data.pairs_fit!r} must be 'ask', 'stretch' or 'crop'")
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
