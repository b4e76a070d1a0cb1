"""Inception score (Salimans et al. 2016, arXiv 1606.03498): exp(E KL(p(y | x), p(y))). It says little about art."""

import numpy as np

from ganjax.metrics.statistics.frechet import check


def compute(logits: np.ndarray, splits: int = 10, seed: int | None = 2020) -> dict:
    """Return {"value", "std", "splits"}: mean and standard deviation (ddof 0) over `splits` parts of logits (N, K).

    The logits are those without bias. They are shuffled by RandomState(seed), as torch-fidelity does, or left in order
    if the seed is None. The arithmetic is in float64. Raises UserError as `check` does.
    """
    logits = np.asarray(check(logits), np.float64)
    if seed is not None:
        logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    logits = logits - logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    scores = []
    for part in (log_p[low:high] for low, high in zip(edges, edges[1:], strict=False) if high > low):
        p = np.exp(part)
        scores.append(np.exp((p * (part - np.log(p.mean(0)))).sum(1).mean()))
    return {"value": float(np.mean(scores)), "std": float(np.std(scores)), "splits": len(scores)}
