"""Compute the metrics of a run's checkpoint, or of two folders or .npz files; average over seeds; format results."""

import functools
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.special
from PIL import Image

from ganjax import task
from ganjax.data import images, writer
from ganjax.data.table import Dataset
from ganjax.errors import UserError, nearest
from ganjax.inference.model import Model, load
from ganjax.metrics import sources, suite
from ganjax.metrics.sets import Side
from ganjax.metrics.statistics import copies
from ganjax.metrics.suite import Metric, Options
from ganjax.report import grid
from ganjax.system import atomic
from ganjax.system.names import expanded
from ganjax.task import Comparison
from ganjax.workdir import run_folder

DEFAULT = ("lite_fd", "lite_kd", "lite_prdc", "lite_copies", "rand_fd", "rand_prdc")
DEFAULT += ("swd", "patch_fd", "colour", "msssim", "copy_ratio")
log = logging.getLogger(__name__)


def metric(name: str) -> Metric:
    """Return the metric of that name. Raises UserError, with the nearest name, if there is none."""
    if name not in suite.SUITE:
        near = nearest(name, suite.SUITE)
        near += "" if "did you mean" in near else " (all: launch.py evaluate --list)"
        raise UserError(f"metric {name[:60]!r} is not known{near}")
    return suite.SUITE[name]


def score(names: tuple[str, ...], real: Side, fake: Side, options: Options = Options()) -> dict[str, dict]:  # noqa: B008
    """Return {name: result}, a result being {"metric", "value", "better", the protocol, "n_real", "n_fake", "seed"}.

    Distances between sets add "baseline_real_real": {"value", "n"}, the distance of two halves, n each, of the real
    images. The result of a metric that fails is {"metric", "error": reason}. Raises UserError if all metrics fail.
    """
    metrics, results = {name: metric(name) for name in names}, {}
    for name, entry in metrics.items():
        counts = {"n_real": len(real), "n_fake": len(fake), "seed": options.seed}
        try:
            results[name] = {"metric": name, "better": entry.better, **counts, **entry.compute(real, fake, options)}
            if entry.baseline:
                results[name]["baseline_real_real"] = _baseline(name, real, options)
        except UserError as error:
            results[name] = {"metric": name, "error": str(error)}
    if results and all("error" in result for result in results.values()):
        raise UserError("; ".join(f"{name}: {result['error']}" for name, result in results.items()))
    return results


def _baseline(name: str, real: Side, options: Options) -> dict | None:
    if len(real) < 4:
        return None
    key = "baseline", name, options.seed, options.weights
    if key not in real.memo:
        halves = real.halves(options.seed)
        try:
            value = metric(name).compute(*halves, options._replace(few=True))["value"]
        except UserError:  # half of the images is too few for this metric
            return None
        real.memo[key] = {"value": value, "n": len(halves[0])}
    return real.memo[key]


# The sides of a comparison.


def real_side(comparison: Comparison, options: Options, progress: bool = False) -> tuple[Side, Options]:
    """Return the real side of a comparison, and the options with the source images of translations as `content`."""
    real, training = comparison.real, comparison.training
    training_set = Side(training.images, training.labels, comparison.classes)
    settings = {"names": real.names, "training_set": training_set, "cache_features": True, "progress": progress}
    side = Side(real.images, real.labels, comparison.classes, **settings)
    if comparison.content is None:
        return side, options
    content = Side(comparison.content.images, names=comparison.content.names)
    return side, options._replace(content=content)


def generated_side(comparison: Comparison, variables: dict, num: int, seed: int = 0, progress: bool = False) -> Side:
    """Return the side of up to `num` images that a model generates with `variables`, quantised to uint8 as in files."""
    images = comparison.generate(variables, num, seed, progress)
    sampler = {}
    if comparison.latents:
        draw, sample = comparison.latents(variables)
        sampler = {"draw": draw, "sample": sample}
    classes = comparison.classes if images.labels is not None else ()
    return Side(images.images, images.labels, classes, names=images.names, progress=progress, **sampler)


def workdir(
    path: str,
    names: tuple[str, ...] = DEFAULT,
    num: int = 2000,
    options: Options = Options(),  # noqa: B008
    step: int | str | None = None,
    seeds: int = 1,
    sheet: str | None = None,
    places: dict[str, str] | None = None,
) -> dict[str, dict]:
    """Return the results for `num` samples of a run against its dataset; with `seeds` > 1, the results `over_seeds` of
    the seeds from options.seed on.

    sheet: path of a picture to write, of the samples nearest to training images. places: {key of config.data: present
    folder} of images that have moved, as for `run_folder.moved`.
    """
    validate(names, sheet)
    model = load(path, step)
    comparison = comparison_of(model, num, places or {})
    if sheet:
        roots = run_folder.roots(run_folder.moved(model.config.data, places or {}))
        run_folder.check_apart(sheet, roots, "--sheet")
    runs, progress = [], sys.stderr.isatty()
    real, options = real_side(comparison, options, progress=True)
    for seed in range(options.seed, options.seed + seeds):
        if not runs or comparison.content is None:  # translations are the same for every seed
            fake = generated_side(comparison, model.variables, num, seed, progress)
        runs.append(score(names, real, fake, options._replace(seed=seed)))
        if sheet and seed == options.seed:
            neighbours(real, fake, sheet, options if "lite_copies" in names else None)
    images_seen = {"images": model.meta["images"]}
    return {name: {**result, **images_seen} for name, result in (over_seeds(runs) if seeds > 1 else runs[0]).items()}


def comparison_of(model: Model, num: int, places: dict[str, str]) -> Comparison:
    """Return the comparison of a run's model with its dataset, which is read from `places`."""
    return task.of(model.config).compare(model.config, model.methods, open_data(model, places), num)


def open_data(model: Model, places: dict[str, str]) -> Dataset:
    """Return a run's dataset, read from `places`; log a warning if its images or class names differ from the run's.

    Raises UserError if a folder does not exist.
    """
    config = model.config.copy_and_resolve_references().unlock()
    config.data = run_folder.moved(config.data, places)
    missing = [str(path) for path in run_folder.roots(config.data).values() if not path.exists()]
    if missing:
        flags = "--data_a=DIR and --data_b=DIR" if config.data.a else "--data=DIR"
        raise UserError(f"the run's images are not at {' and '.join(missing)}: give their folder, {flags}")
    dataset = task.of(config).open(config)
    if dataset.content != model.meta.get("data"):
        log.warning("the images differ from those that the run was trained on")
    classes = dataset.target.classes
    if config.data.labels and (changes := run_folder.class_changes(model.meta.get("classes", ()), classes)):
        log.warning("the class names differ from those that the run was trained on: %s", changes)
    return dataset


def validate(names: tuple[str, ...], sheet: str | None) -> None:
    """Check metric names and the sheet's file ending before any work. Raises UserError for an unknown one."""
    for name in names:
        metric(name)
    if sheet and not writer.format_of(sheet):
        raise UserError(f"--sheet={sheet} must have a picture's file ending: .png, .jpg, .webp, ...")


def spread(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the mean, the standard deviation (ddof 1) and both limits of the mean's 95 % Student t interval."""
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(scipy.special.stdtrit(len(values) - 1, 0.975)) * std / len(values) ** 0.5
    return mean, std, mean - half, mean + half


def over_seeds(runs: list[dict[str, dict]]) -> dict[str, dict]:
    """Return results averaged over runs with different seeds: each float, and the baseline, is the mean over the runs.

    Adds "values", one for each run, their "std_over_seeds" (ddof 1) and "interval_95" of their mean: Student's t
    interval, which assumes normal values. Entries that are not floats are the first run's. A metric that fails in one
    run has that run's error as its result.
    """
    merged = {}
    for name, first in runs[0].items():
        failure = next((run[name] for run in runs if "error" in run[name]), None)
        if failure:
            merged[name] = failure
            continue
        values = [run[name]["value"] for run in runs]
        _, std, low, high = spread(values)
        means = {
            key: float(np.mean([run[name][key] for run in runs])) for key in first if isinstance(first[key], float)
        }
        if first.get("baseline_real_real"):
            halves = [run[name]["baseline_real_real"]["value"] for run in runs]
            means["baseline_real_real"] = {**first["baseline_real_real"], "value": float(np.mean(halves))}
        merged[name] = {**first, **means, "std_over_seeds": std, "interval_95": [low, high], "values": values}
    return merged


def folders(
    real: str,
    fake: str,
    names: tuple[str, ...] = DEFAULT,
    resolution: int | None = None,
    options: Options = Options(),  # noqa: B008
    content: str | None = None,
    sheet: str | None = None,
    max_pixels: int = images.MAX_PIXELS,
) -> dict:
    """Return the results for one folder or archive of images, or .npz file, against another.

    With `resolution`, each image's centre square is resized to it; without, all images must have one size. Images of
    more than `max_pixels` are skipped.
    """
    validate(names, sheet)
    read = functools.partial(sources.read, resolution=resolution, max_pixels=max_pixels)
    sides = [read(real, "--real", cache_features=True), read(fake, "--fake", cache_features=fake == real)]
    shapes = [side.images.shape[1:] for side in sides if side.given_features is None]
    if sheet and len(shapes) < 2:
        raise UserError("--sheet needs images on both sides")
    if len(set(shapes)) > 1:
        sizes = " and ".join(f"{w}x{h} pixels in {c} channels" for h, w, c in shapes)
        raise UserError(f"the images of the two sides are {sizes}: give --resolution=N for folders")
    if content:
        options = options._replace(content=read(content, "--content"))
    results = score(names, *sides, options)
    if sheet:
        neighbours(*sides, sheet, options if "lite_copies" in names else None)
    where = {"resolution": list(shapes[0][:2])} if shapes else {}
    return {name: {**result, **where} for name, result in results.items()}


# Output.


def neighbours(
    real: Side, fake: Side, path: str | Path, lite: Options | None = None, rows: int = 8, k: int = 4
) -> Image.Image:
    """Write and return a picture of the generated images that are most likely copies, the likeliest first.

    Each is beside its k nearest training images, captioned with its row and their distances: root mean square
    differences in grey levels, at 32 pixels. With `lite` the same follows by Lite0's features at 224 pixels.
    """
    training, k = real.training_set, min(k, len(real.training_set))
    found = {"pixels": copies.sheet(fake.images, training.images, rows=rows, k=k)}
    if lite:
        features = suite.lite_features(real, fake, lite)
        found["Lite0"] = copies.sheet(fake.images, training.images, *features, rows=rows, k=k)
    blocks = []
    for kind, result in found.items():
        for i, image in enumerate(result.images):
            distances = ", ".join(f"{distance:.0f}" for distance in result.distances[i])
            images = np.concatenate([image[None], result.neighbours[i]]) / np.float32(127.5) - 1
            blocks.append((f"{result.rows[i]}: {distances} ({kind})", images))
    picture = grid.sheet(blocks, 1 + k)
    with atomic.replacing(expanded(path)) as temporary:
        picture.save(temporary)
    return picture


def table(results: dict[str, dict]) -> str:
    """Return the results as a text table: value, baseline, which direction is better, and notes on the protocol."""
    lines = [f"{'metric':12} {'value':>10}  {'real-real (n)':>18}  {'better':7} protocol"]
    for name, result in results.items():
        if "error" in result:
            lines.append(f"{name:12} {'-':>10}  {result['error']}")
            continue
        baseline = result.get("baseline_real_real")
        notes = [f"{result['n_real']:,} real, {result['n_fake']:,} generated"]
        if "interval_95" in result:
            notes.append("{} seeds, 95 % of the mean in {:.4g} to {:.4g}".format(
                len(result["values"]), *result["interval_95"]))  # fmt: skip
        notes += [str(result[key]) for key in ("extractor", "note") if key in result]
        notes += [f"resized: {result['resizer']}"] if result.get("resizer", "none") != "none" else []
        halves = f"{baseline['value']:10.4g} {'(' + format(baseline['n'], ',') + ')':>7}" if baseline else f"{'':18}"
        lines.append(f"{name:12} {result['value']:10.4g}  {halves}  {result['better']:7} {'; '.join(notes)}")
    return "\n".join(lines)


def listing() -> str:
    """Return one line for each metric: its description, and what it needs besides two sets of images."""
    lines = []
    for name, entry in suite.SUITE.items():
        needs = f"  (needs {entry.needs})" if entry.needs else ""
        lines.append(f"{name:12} {entry.better:6} is better  {entry.text}{needs}")
    return "\n".join(lines)


def write(results: dict[str, dict], path: str | Path) -> None:
    """Write the results as JSON, atomically. Raises UserError if the file cannot be written."""
    atomic.write_text(expanded(path), json.dumps(results, indent=2) + "\n")
