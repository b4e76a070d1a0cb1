"""Make docs/metrics.png and print docs/measure.md's table: which metrics, without a download, order damage rightly?

python docs/metrics.py --data=FOLDER_WITH_A_SUBFOLDER_PER_LABEL [--metrics=rand_fd,swd] [--seeds=3] [--resolution=64]

Each seed splits the images into halves. A is the reference; 1,000 images of B are damaged more and more, and measured
against A. A metric orders a kind of damage rightly where, in the mean over the seeds, every degree is worse than the
one before, beginning with the undamaged images.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from ganjax.data import cache, folder
from ganjax.data.table import Table
from ganjax.metrics import evaluate
from ganjax.metrics.sets import Side

HERE, NUM = Path(__file__).parent, 1000
METRICS = ("lite_fd", "lite_kd", "rand_fd", "rand_kd", "clf_fd", "swd", "patch_fd", "colour", "lite_prdc", "rand_prdc")
DAMAGES = {
    "blur, sigma in pixels": (0.5, 1, 2),
    "noise, sigma of 255": (10, 20, 40),
    "labels dropped, of 8": (1, 3, 5),
    "distinct images, of 1,000": (500, 100, 20),
}


def damaged(kind: str, degree: float, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return NUM images of (N, H, W, C), uint8, damaged; of one seed, a stronger damage holds the weaker ones."""
    rng = np.random.default_rng(seed)
    rows, classes = rng.permutation(len(images)), rng.permutation(labels.max() + 1)
    if kind.startswith("labels"):
        rows = rows[~np.isin(labels[rows], classes[:degree])]
    elif kind.startswith("distinct"):
        rows = rows[:degree]
    chosen = images[np.resize(rows, NUM)].astype(np.float32)  # round and round where there are fewer
    if kind.startswith("blur"):
        chosen = gaussian_filter(chosen, (0, degree, degree, 0), mode="mirror")
    elif kind.startswith("noise"):
        chosen = chosen + degree * rng.standard_normal(chosen.shape, np.float32)
    return np.clip(np.round(chosen), 0, 255).astype(np.uint8)


def measure(labelled: Table, names: tuple[str, ...], seed: int, bar: tqdm) -> dict:
    """Return {metric: {kind: [value of each degree, the undamaged first]}} of one split into halves."""
    rows, half = np.random.default_rng(seed).permutation(len(labelled.images)), len(labelled.images) // 2
    a, b = np.sort(rows[:half]), np.sort(rows[half : 2 * half])
    real = Side(labelled.images[a], labelled.labels[a], labelled.classes)

    def scores(kind: str, degree: float) -> dict:
        fake = Side(damaged(kind, degree, labelled.images[b], labelled.labels[b], seed))
        found = {name: evaluate.metric(name).compute(real, fake, evaluate.Options(seed))["value"] for name in names}
        bar.update()
        return found

    clean = scores("", 0)
    found = {kind: [clean, *(scores(kind, degree) for degree in degrees)] for kind, degrees in DAMAGES.items()}
    return {name: {kind: [one[name] for one in ones] for kind, ones in found.items()} for name in names}


def table(values: dict, seeds: int) -> str:
    """Return Markdown: of each kind whether it is ordered rightly, in how many seeds alone, and the mean values."""
    lines = ["| metric | real | " + " | ".join(DAMAGES) + " |", "|---" * (2 + len(DAMAGES)) + "|"]
    for name, kinds in values.items():
        sign = 1 if evaluate.metric(name).better == "lower" else -1
        clean = np.mean([runs[0] for runs in next(iter(kinds.values()))])
        cells = []
        for runs in kinds.values():
            mean = np.mean(runs, 0)
            steps = np.diff(sign * np.array(runs), axis=1) > 0
            right = "**yes**" if (np.diff(sign * mean) > 0).all() else "no"
            spread = ", ".join(f"{value:.3g}" for value in mean[1:])
            cells.append(f"{right} ({steps.all(1).sum()} of {seeds}): {spread}")
        lines.append(f"| `{name}` | {clean:.3g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(values: dict) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(11, 1.6 * len(values)), layout="constrained")
    axes = figure.subplots(len(values), len(DAMAGES), squeeze=False)
    for row, (name, kinds) in zip(axes, values.items(), strict=True):
        for axis, (kind, runs) in zip(row, kinds.items(), strict=True):
            for run in runs:
                axis.plot(run, "o-", ms=3, lw=1, alpha=0.7)
            axis.set_xticks(range(4), ["real", *map(str, DAMAGES[kind])], fontsize=8)
            axis.tick_params(axis="y", labelsize=8)
            axis.grid(alpha=0.3)
            axis.set_title(kind, fontsize=9) if axis in axes[0] else None
            if min(map(min, runs)) > 0 and max(map(max, runs)) > 20 * min(map(min, runs)):
                axis.set_yscale("log")
                axis.yaxis.set_minor_formatter(NullFormatter())
        row[0].set_ylabel(name, fontsize=10)
    figure.savefig(HERE / "metrics.png", dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--metrics", default=",".join(METRICS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--out", type=Path, help="JSON of the values of each seed; those that it holds are kept")
    options = parser.parse_args()
    names = tuple(options.metrics.split(","))
    by_seed = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    seeds = range(options.seeds)
    missing = {seed: [name for name in names if name not in by_seed.get(str(seed), {})] for seed in seeds}
    if any(missing.values()):
        labelled = cache.load(folder.Folder(options.data, labels=True), options.resolution, options.resolution, 3)
    bar = tqdm(total=sum(map(bool, missing.values())) * (1 + sum(map(len, DAMAGES.values()))))
    for seed, lacking in missing.items():
        if lacking:
            by_seed.setdefault(str(seed), {}).update(measure(labelled, tuple(lacking), seed, bar))
            if options.out:
                options.out.write_text(json.dumps(by_seed, indent=1))
    values = {name: {kind: [by_seed[str(seed)][name][kind] for seed in seeds] for kind in DAMAGES} for name in names}
    plot(values)
    print(table(values, options.seeds))


if __name__ == "__main__":
    main()
