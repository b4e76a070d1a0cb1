"""Is this training well? A verdict from what is logged, with what to try.

What is read of each logged interval: `d_sign`, the mean sign of D's logits on real images (r_t of Karras et al. 2020,
arXiv 2006.06676), `d_sign_fake`, `d_pairs`, the mean sign of D(x) - D(G(z)) over pairs, gradient norms; and, with each
sheet of samples, `diversity`, the distance between generated images over that between real ones, `grid_copies`, the
ratio of copies of `metrics.copies`, and `saturated`, how much nearer to the ends of the range they lie than real ones.
"""

import math
import statistics
from typing import NamedTuple

import numpy as np

HISTORY = 1000  # rows, at most, that are looked at
WINDOW = 5  # logged intervals whose mean is judged
EXPLODED = 100  # times its median: a gradient's norm
GROWN = 1000  # times its start, its median, or 1, about which losses of logits begin: a loss, or the weights
STRIDE = 0.25  # learning rate over the weights' root mean square: Adam moves each weight by about its rate at a step
SATURATED = 0.9
END = 0.975  # of a value in [-1, 1]: within 3 of 255 levels of an end
LOST = 0.04  # d_pairs: D is right in 52 % of the pairs, or fewer
OVERFIT = 0.98  # d_sign, and -d_sign_fake: D is right of 99 % of its images
COLLAPSED = 0.35  # of the real images' diversity
FEW_SHEETS = 3  # an untrained generator has no diversity yet
COPIES = 0.35
INVERTED = -0.2  # correlation of brightness between an image and its translation
GRID = 30  # how far peaks of a grid stand out of the spectrum, over those of the images translated
# Losses of differences of logits, or with targets 0 and 1: the sign of a logit means nothing.
UNSIGNED = ("wasserstein", "relativistic", "least_squares")


class Verdict(NamedTuple):
    """name: one of ADVICE's, or "healthy". why: the numbers behind it. advice: what to try."""

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
    """Return the verdict on logged rows, oldest first. `signed`: whether the sign of a logit means real or generated:
    of losses that are not UNSIGNED.
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
    looks = {name: [row[name] for row in rows if name in row][-2:] for name in ("brightness", "checkerboard")}
    if len(sheets) > FEW_SHEETS and looks["brightness"] and max(looks["brightness"]) < INVERTED:
        return verdict("colours inverted", f"light and dark correlate by {looks['brightness'][-1]:.2f}")
    if len(sheets) > FEW_SHEETS and looks["checkerboard"] and min(looks["checkerboard"]) > GRID:
        return verdict("checkerboard", f"a grid stands out {looks['checkerboard'][-1]:.0f} times")
    pairs, real, fake = mean("d_pairs"), mean("d_sign"), mean("d_sign_fake")
    if pairs is not None and pairs < LOST:
        return verdict("D has lost", f"it is right in {50 + 50 * pairs:.0f} % of pairs of a real and a generated image")
    copies = [row["grid_copies"] for row in sheets if "grid_copies" in row]
    if len(copies) > FEW_SHEETS and copies[-1] < COPIES:
        return verdict("D overfits", f"samples are near training images, ratio {copies[-1]:.2f}")
    if signed and None not in (real, fake) and min(real, -fake) > OVERFIT:
        return verdict("D overfits", f"it is right of {50 + 25 * (real - fake):.1f} % of its images")
    return Verdict(HEALTHY)


def _mean(values: list[float]) -> float:
    """Return the mean: inf or nan of values that are not finite, or whose sum is not, where `fmean` raises."""
    return sum(values) / len(values)


def _diverging(rows: list[dict], signed: bool) -> str:
    """Return why the rows diverge, or "" if they do not."""
    for name in ("d_grad_norm", "g_grad_norm"):
        values = [row[name] for row in rows if name in row]
        if values and not math.isfinite(values[-1]):
            return f"{name} is {values[-1]}"
        if len(values) > WINDOW and values[-1] > EXPLODED * max(usual := statistics.median(values[:-1]), 1e-3):
            return f"{name} {values[-1]:.3g}, usually {usual:.3g}"
    for name in ("d_loss", "g_loss"):
        values = [abs(row[name]) for row in rows if name in row]
        # A loss of differences may drift, or settle, far from 1: it is compared with its own past alone.
        usual = 1.0 if signed else max(statistics.median(values[:-1]), 1.0) if len(values) > WINDOW else math.inf
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
        return (
            f"{100 * saturated[-1]:.0f} % of the samples' values that real images have within the range are at its ends"
        )
    return ""


def extremes(images: np.ndarray) -> float:
    """Return the share of the values of images in [-1, 1] that lie at the ends of the range."""
    return float((np.abs(images) > END).mean())


def saturation(images: np.ndarray, usual: float) -> float:
    """Return how much of the share of values within the range, 1 - `usual` in real images, is lost at its ends: 0 where
    the images (N, H, W, C) are as the real ones, 1 where all values are at the ends. 0 of real images without any.
    """
    return 1 - (1 - extremes(images)) / (1 - usual) if usual < 1 else 0.0


def diversity(images: np.ndarray) -> float:
    """Return the mean distance, root mean square over the values, between two of the images (N, H, W, C); 0 below 2."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = flat - flat.mean(0)
    squares = (flat**2).sum(1)
    squared = np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0) / flat.shape[1]
    pairs = len(images) * (len(images) - 1)
    return float(np.sqrt(squared).sum() / pairs) if pairs else 0.0


def checkerboard(images: np.ndarray) -> float:
    """Return how far the grids of 2 and 4 pixels stand out of the mean spectrum of images (N, H, W, C): the largest
    power at their frequencies over the median of that around it. About 1 to 10 where there is none.
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
            # Towards the axes power rises: only what is as far from them as the peak is compared.
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
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return float(((a * b).sum(1) / np.maximum(scale, 1e-12)).mean())
