"""`config.auto`: the settings of a run, chosen once, at its first start, by its images and its device.

Keys that the user has set stay. The choice and its reasons are in `config.chosen`, and so in config.json, from which a
resumed run takes all of them: another device or more images change nothing.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from ganjax import recipe, rng, task
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.config.derived import flatten
from ganjax.config.groups import for_recipe, keys_of
from ganjax.data.folder import Folder
from ganjax.errors import UserError
from ganjax.nets.singan import pyramid
from ganjax.training import update
from ganjax.training.survey import Survey, survey
from ganjax.workdir import run_folder

SMALLEST = 32  # pixels
CPU, ACCELERATOR = 64, 256  # pixels of the shorter side, at most
ONE = {"cpu": (96, 500), "accelerator": (250, 2_000)}  # of one picture: the shorter side at most, steps of a scale
CLASS = 50  # images that the smallest class needs
MEMORY = 0.8  # share of the free memory that a step may take


class Scale(NamedTuple):
    """Settings for sets of at most `images` images. cpu, accelerator: the length of the run, in images."""

    images: float
    cpu: int
    accelerator: int
    settings: dict[str, Any]
    why: str


FEW = {"diffaugment": "translation,cutout", "augment.crop_scale": 0.8}
SCALES = (  # on a CPU, runs with the settings of the first two rows are in docs/train.md
    Scale(30, 40_000, 100_000, FEW | {"augment.rotate": 5.0}, "very few: augmented most"),
    Scale(300, 75_000, 400_000, FEW, "few: augmented more"),
    Scale(3_000, 160_000, 1_000_000, {"diffaugment": "translation,cutout"}, "enough to learn from"),
    Scale(30_000, 300_000, 4_000_000, {"diffaugment": "translation,cutout"}, "many"),
    Scale(float("inf"), 1_000_000, 10_000_000, {"diffaugment": "translation"}, "very many: hardly augmented"),
)


class Choice(NamedTuple):
    key: str
    value: Any
    why: str


def choose(config: ml_collections.ConfigDict, flags: Iterable[str], workdir: str | Path) -> ml_collections.ConfigDict:
    """Return the config of a new run, with the choices, which are printed; or, if the workdir has a run, its own.

    flags: those of the user, --config.KEY=VALUE, which `config` has already; they are set again. Raises UserError if
    the images cannot be read, or if the workdir's run was not begun with `auto`.
    """
    workdir, flags = Path(workdir), list(flags)
    if (workdir / "config.json").exists():
        saved = run_folder.read_config(workdir).unlock()
        if not saved.chosen:
            raise UserError(f"{workdir} holds a run that was not begun with config.auto: resume it with its own config")
        for flag in flags:
            config_file.override(saved, flag, keys_of(saved))
        return saved.lock()
    if config.data.name not in ("atelier", "folder") or config.task != "generate" or not config.data.path:
        raise UserError("config.auto chooses for a folder of images: give --config.data.path=FOLDER")
    given = {flag.removeprefix("--config.").partition("=")[0] for flag in flags}
    folder = Folder(config.data.path, None, config.data.channels, config.data.max_pixels)
    chosen = choices(survey(folder), jax.default_backend(), config, given)
    new = config_file.load_file(next(choice.value for choice in chosen if choice.key == "recipe"), []).unlock()
    new.auto = True
    new.update_from_flattened_dict({key: value for key, value, _ in chosen if key not in given})
    for flag in flags:
        config_file.override(new, flag, keys_of(new))
    if "batch_size" not in given:
        fits = fitting_batch(new, folder)
        chosen = [choice if choice.key != fits.key else fits for choice in chosen]
        new.batch_size = fits.value
    values = flatten(new)
    new.chosen = tuple(f"{key} = {values[key]}: {'given' if key in given else why}" for key, _, why in chosen)
    print(table(new.chosen))
    return new.lock()


def choices(seen: Survey, platform: str, config: ml_collections.ConfigDict, given: set[str]) -> list[Choice]:
    """Return the choices for these images on a "cpu", "gpu" or "tpu"; some follow keys in `given`."""
    cpu = platform == "cpu"
    distinct = round(seen.count * (1 - seen.repeated))
    if seen.count == 1 and "recipe" not in given:
        return _single(seen, cpu)
    scale = next(scale for scale in SCALES if distinct <= scale.images)
    name = config.recipe if "recipe" in given else "projected"
    repeated = f" ({seen.repeated:.0%} more are nearly the same)" if distinct < seen.count else ""
    found = [Choice("recipe", name, f"{distinct:,} different images{repeated}: {scale.why}")]
    found += _size(seen, cpu, config, given)
    free = not {"data.labels", "condition.kind"} & given
    if free and len(seen.class_counts) > 1 and min(seen.class_counts) >= CLASS:
        why = f"{len(seen.class_counts)} sub-folders of {min(seen.class_counts):,} images or more"
        found += [Choice("data.labels", True, why), Choice("condition.kind", "projection", "by these classes")]
        if max(seen.class_counts) > 4 * min(seen.class_counts):
            found.append(Choice("data.balance", 0.5, "the classes are of very different sizes"))
    if seen.transparent > 0.5:
        found.append(Choice("data.fit", "pad", f"{seen.transparent:.0%} have transparent parts, which become white"))
    if seen.grey == 1:
        found.append(Choice("data.channels", 1, "all images are grey"))
    found += [Choice(key, value, f"for {distinct:,} images") for key, value in scale.settings.items()]
    found.append(
        Choice("total_images", scale.cpu if cpu else scale.accelerator, f"for {distinct:,} images on a {platform}")
    )
    if name == "projected":
        found += _projected(cpu)
    return found


def _single(seen: Survey, cpu: bool) -> list[Choice]:
    """Return the choices for one picture."""
    largest, steps = ONE["cpu" if cpu else "accelerator"]
    side = min(largest, seen.height, seen.width)
    height = max(round(side * seen.height / seen.width), side)
    keys = for_recipe("singan").model
    scales = len(pyramid((side, side), keys.smallest, keys.factor)) if side >= keys.smallest else 1
    found = [
        Choice("recipe", "singan", "one picture: new ones are put together from its patches, coarse to fine"),
        Choice("data.resolution", height, f"the picture has {seen.width}x{seen.height} pixels"),
        Choice("total_images", scales * steps, f"{steps:,} steps for each of {scales} scales"),
    ]
    if seen.grey == 1:
        found.append(Choice("data.channels", 1, "the picture is grey"))
    return found


def _size(seen: Survey, cpu: bool, config: ml_collections.ConfigDict, given: set[str]) -> list[Choice]:
    """Return the choices of the images' height and width."""
    if "data.resolution" in given:
        base = config.data.resolution
    else:
        base, largest = SMALLEST, CPU if cpu else ACCELERATOR
        while 2 * base <= min(seen.height, seen.width, largest):
            base *= 2
    why = f"the images are {seen.width}x{seen.height} pixels, in the median"
    why += ", and a CPU is slow" if cpu and min(seen.height, seen.width) >= 2 * base else ""
    if seen.alike < 0.7 or 7 / 8 < seen.aspect < 8 / 7 or {"data.resolution", "data.width"} & given:
        square = "shapes differ: the centres are cut out" if seen.alike < 0.7 else why
        return [Choice("data.resolution", base, square)]
    step = base // 4
    longer = min(round(base * max(seen.aspect, 1 / seen.aspect) / step) * step, 2 * base)
    height, width = (base, longer) if seen.aspect > 1 else (longer, base)
    shape = f"{seen.alike:.0%} have about this shape"
    return [Choice("data.resolution", height, why), Choice("data.width", width, shape)]


def _projected(cpu: bool) -> list[Choice]:
    """Return the sizes of Projected GAN's networks."""
    if cpu:
        return [Choice("batch_size", 16, "two CPU cores")]
    published = {
        "batch_size": 64,
        "model.generator.width": 128,
        "model.discriminator.width": 64,
        "ema.half_life_images": 20_000.0,
        "precision": "bfloat16",
    }
    return [Choice(key, value, "as published, for an accelerator") for key, value in published.items()]


def fitting_batch(config: ml_collections.ConfigDict, folder: Folder) -> Choice:
    """Return the largest batch, halved from the config's, whose compiled step fits into the free memory of a device."""
    count, free = jax.device_count(), free_memory()
    config = check(config.copy_and_resolve_references())
    config.data.classes, config.data.class_counts = folder.classes, (1,) * len(folder.classes)
    if config.batch_size == 1:
        return Choice("batch_size", count, "one image on each device")
    total, config.batch_size = -(-config.batch_size // count) * count, -(-config.batch_size // count)
    if not free:
        return Choice("batch_size", total, f"for {count} devices whose memory is not known")
    while (needed := step_bytes(config)) > MEMORY * free and config.batch_size > 1:
        config.batch_size //= 2
    why = f"a step takes {needed / 2**30:.1f} of {free / 2**30:.1f} GiB"
    return Choice("batch_size", config.batch_size * count, why + (f" on each of {count} devices" if count > 1 else ""))


def step_bytes(config: ml_collections.ConfigDict) -> int:
    """Return the bytes that the compiled step of a config takes, by the compiler's own analysis."""
    own, gan = task.of(config), recipe.build(config)
    state = jax.eval_shape(update.initialise(config, own, gan))
    state = state.replace(frozen=jax.eval_shape(lambda: gan.frozen()))
    key = jax.eval_shape(lambda: rng.key(0, "plan"))
    used = jax.jit(gan.step, donate_argnums=0).lower(state, own.spec(config, gan.parts), key).compile()
    used = used.memory_analysis()
    return used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes


def free_memory() -> int:
    """Return the bytes of a device's memory, or the free ones of the host for a CPU; 0 if unknown."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def table(chosen: Iterable[str]) -> str:
    """Return the choices as aligned lines."""
    rows = [line.partition(": ") for line in chosen]
    width = max(len(what) for what, _, _ in rows)
    lines = [f"  {what:{width}}  {why}" for what, _, why in rows]
    return "\n".join(["chosen once, for this run; set any of them by its flag, --config.KEY=VALUE:", *lines])
