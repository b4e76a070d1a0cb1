"""Judge from a run's logged rows whether it trains well, and say what to try.

Each logged interval has `d_sign`, the mean sign of D's logits on real images (r_t of Karras et al. 2020, arXiv
2006.06676), `d_sign_fake`, `d_pairs`, the mean sign of D(x) - D(G(z)) over pairs, and gradient norms. Each sheet of
samples has `diversity`, the distance between generated images over that between real ones, `grid_copies`, the ratio of
copies of `metrics.statistics.copies`, and `saturated`, the share of values lost at the ends of the range.
"""

import math
import statistics
from typing import NamedTuple

import numpy as np

HISTORY = 1000  # newest rows that are judged
WINDOW = 5  # logged intervals whose mean is judged
EXPLODED = 100  # a gradient norm over its median
GROWN = 1000  # the weights over their start; a loss over its median, or over 1, near which losses of logits begin
STRIDE = 0.25  # learning rate over the weights' root mean square: Adam moves each weight by about the rate per step
SATURATED = 0.9  # share of values lost at the ends of the range
END = 0.975  # of a value in [-1, 1]: within 3 of 255 levels of an end
LOST = 0.04  # d_pairs: D is right in 52 % of the pairs, or fewer
OVERFIT = 0.98  # d_sign, and -d_sign_fake: D is right on 99 % of its images
COLLAPSED = 0.35  # of the real images' diversity
FEW_SHEETS = 3  # an untrained generator has no diversity yet
COPIES = 0.35
INVERTED = -0.2  # correlation of brightness between an image and its translation
GRID = 30  # `checkerboard` of the translations over that of the source images


class Verdict(NamedTuple):
    """name: "healthy" or a key of ADVICE. why: the numbers behind it. advice: what to try."""

    name: str
    why: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.why})" if self.why else self.name


HEALTHY = "healthy"
ADVICE = {
    "diverging": "lower the learning rates, clip (optimizer.clip_norm), add a penalty (penalty.r1), or set "
    "on_divergence=rollback",
    "mode collapse": "loss.kind=relativistic with penalty.r1 and r2, a larger batch, a lower g_lr, penalty.zcr_g",
    "D has lost": "raise optimizer.d_lr or d_steps, widen D, lower the penalties and loss.instance_noise",
    "D overfits": "diffaugment=palette (or full), penalty.r1 or lecam, fewer d_steps, more images, or stop earlier: "
    "checkpoint.keep_best",
}
ADVICE |= {
    "colours inverted": "raise loss.identity (or loss.nce), or start again with another seed: it rarely recovers",
    "checkerboard": "train longer; if it stays, take a generator that resamples without a grid: docs/translate.md",
}


def judge(rows: list[dict], signed: bool = True) -> Verdict:
    """Return the verdict on logged rows, oldest first. `signed`: whether the sign of a logit separates real from
    generated images: False for the losses in UNSIGNED.
    """
    rows = rows[-HISTORY:]

    def mean(name: str) -> float | None:
        values = [row[name] for row in rows if name in row][-WINDOW:]
        return _mean(values) if len(values) == WINDOW else None

    def verdict(name: str, why: str) -> Verdict:
        return Verdict(name, why, ADVICE[name])

    if why := _diverging(rows, signed):
        return verdict("diverging", why)
    sheets = [row for row in rows if "diversity" in row]
    if len(sheets) > FEW_SHEETS:
        last = _mean([row["diversity"] for row in sheets[-2:]])
        if last < COLLAPSED:
            return verdict("mode collapse", f"diversity {last:.2f} of the real images'")
    translations = {name: [row[name] for row in rows if name in row][-2:] for name in ("brightness", "checkerboard")}
    if len(sheets) > FEW_SHEETS and translations["brightness"] and max(translations["brightness"]) < INVERTED:
        return verdict(
            "colours inverted",
            f"grey levels of images and translations correlate by {translations['brightness'][-1]:.2f}",
        )
    if len(sheets) > FEW_SHEETS and translations["checkerboard"] and min(translations["checkerboard"]) > GRID:
        times = f"{translations['checkerboard'][-1]:.0f} times"
        return verdict("checkerboard", f"a grid stands out {times} as far as in the source images")
    pairs, real, fake = mean("d_pairs"), mean("d_sign"), mean("d_sign_fake")
    if pairs is not None and pairs < LOST:
        return verdict("D has lost", f"it is right in {50 + 50 * pairs:.0f} % of pairs of a real and a generated image")
    copies = [row["grid_copies"] for row in sheets if "grid_copies" in row]
    if len(copies) > FEW_SHEETS and copies[-1] < COPIES:
        return verdict("D overfits", f"samples are near training images, ratio {copies[-1]:.2f}")
    if signed and None not in (real, fake) and min(real, -fake) > OVERFIT:
        return verdict("D overfits", f"it is right on {50 + 25 * (real - fake):.1f} % of its images")
    return Verdict(HEALTHY)


def _mean(values: list[float]) -> float:
    """Return the mean; inf or nan if the values or their sum are not finite, for which `fmean` raises."""
    return sum(values) / len(values)


def _diverging(rows: list[dict], signed: bool) -> str:
    """Return why the rows diverge, or "" if they do not."""
    for name in ("d_grad_norm", "g_grad_norm"):
        values = [row[name] for row in rows if name in row]
        if values and not math.isfinite(values[-1]):
            return f"{name} is {values[-1]}"
        if len(values) > WINDOW:
            usual = statistics.median(values[:-1])
            if values[-1] > EXPLODED * max(usual, 1e-3):
                return f"{name} {values[-1]:.3g}, usually {usual:.3g}"
    for name in ("d_loss", "g_loss"):
        values = [abs(row[name]) for row in rows if name in row]
        if signed:
            usual = 1.0
        elif len(values) > WINDOW:  # an UNSIGNED loss may drift, or settle, far from 1: compare it with its own past
            usual = max(statistics.median(values[:-1]), 1.0)
        else:
            usual = math.inf
        if values and values[-1] > GROWN * usual:
            return f"{name} {values[-1]:.3g}, usually about {usual:.3g}"
    for player in "dg":
        weights = [row[f"{player}_weights"] for row in rows if f"{player}_weights" in row]
        rates = [row[f"{player}_lr"] for row in rows if f"{player}_lr" in row]
        if weights and weights[-1] > GROWN * max(weights[0], 1e-3):
            return f"{player}_weights {weights[-1]:.3g}, at first {weights[0]:.3g}"
        if weights and rates and rates[-1] > STRIDE * weights[-1]:
            return f"{player}_lr {rates[-1]:.3g} moves weights of {weights[-1]:.3g} by as much at each step"
    saturated = [row["saturated"] for row in rows if "saturated" in row][-2:]
    if len(saturated) == 2 and min(saturated) > SATURATED:
        share = f"{100 * saturated[-1]:.0f} %"
        return f"{share} of the samples' values that real images have inside the range are at its ends"
    return ""


def extremes(images: np.ndarray) -> float:
    """Return the share of the values of images in [-1, 1] that lie at the ends of the range."""
    return float((np.abs(images) > END).mean())


def saturation(images: np.ndarray, usual: float) -> float:
    """Return the share of values inside the range that is lost to its ends, relative to real images.

    usual: `extremes` of real images. 0 if the images (N, H, W, C) have as many values inside as real ones, 1 if they
    have none; 0 if real images have none.
    """
    return 1 - (1 - extremes(images)) / (1 - usual) if usual < 1 else 0.0


def diversity(images: np.ndarray) -> float:
    """Return the mean distance, root mean square over the values, between pairs of images (N, H, W, C); 0 if N < 2."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = flat - flat.mean(0)
    squares = (flat**2).sum(1)
    squared = np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0) / flat.shape[1]
    pairs = len(images) * (len(images) - 1)
    return float(np.sqrt(squared).sum() / pairs) if pairs else 0.0


def checkerboard(images: np.ndarray) -> float:
    """Return how far the grids of 2 and 4 pixels stand out of the mean spectrum of images (N, H, W, C): the largest
    power at their frequencies over the median power around it. About 1 to 10 without a grid.
    """
    grey = images.mean(-1, dtype=np.float64)
    grey = grey - grey.mean((1, 2), keepdims=True)
    window = np.hanning(grey.shape[1])[:, None] * np.hanning(grey.shape[2])
    power = (np.abs(np.fft.fft2(grey * window)) ** 2).mean(0)
    h, w = power.shape
    worst = 0.0
    for period in (2, 4):
        y, x = round(h / period), round(w / period)
        for peak in ((y, 0), (0, x), (y, x)):
            rows, columns = ((np.arange(-4, 5) + place) % side for place, side in zip(peak, (h, w), strict=True))
            around = power[np.ix_(rows, columns)]
            far = np.maximum(*np.abs(np.indices(around.shape) - 4)) > 2
            # Power rises towards the axes: compare the peak only with frequencies at its distance from them.
            if peak[0] == 0:
                far &= np.indices(around.shape)[0] == 4
            if peak[1] == 0:
                far &= np.indices(around.shape)[1] == 4
            worst = max(worst, float(around[3:6, 3:6].max() / max(np.median(around[far]), 1e-12)))
    return worst


def brightness(sources: np.ndarray, translations: np.ndarray) -> float:
    """Return the mean correlation of the grey levels of images (N, H, W, C) with those of their translations."""
    flat = [images.mean(-1, dtype=np.float64).reshape(len(images), -1) for images in (sources, translations)]
    a, b = (x - x.mean(1, keepdims=True) for x in flat)
    norms = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return float(((a * b).sum(1) / np.maximum(norms, 1e-12)).mean())
