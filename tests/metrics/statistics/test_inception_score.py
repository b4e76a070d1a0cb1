"""The score against closed forms and torch-fidelity's order of images."""

import numpy as np
import pytest

from ganjax.metrics.statistics import inception_score


def test_closed_forms():
    sure = 1000 * np.eye(10)[np.arange(100) % 10]
    assert inception_score.compute(sure, splits=1)["value"] == pytest.approx(10, rel=1e-12)
    assert inception_score.compute(np.ones((100, 10)))["value"] == pytest.approx(1, rel=1e-12)


def test_the_definition_over_shuffled_parts():
    logits = np.random.default_rng(0).standard_normal((103, 7)).astype(np.float32)
    shuffled = logits.astype(np.float64)[np.random.RandomState(2020).permutation(103)]
    p = np.exp(shuffled) / np.exp(shuffled).sum(1, keepdims=True)
    parts = [p[i * 103 // 10 : (i + 1) * 103 // 10] for i in range(10)]
    scores = [np.exp(np.mean([np.sum(row * np.log(row / part.mean(0))) for row in part])) for part in parts]
    result = inception_score.compute(logits)
    assert result["value"] == pytest.approx(np.mean(scores), rel=1e-12)
    assert result["std"] == pytest.approx(np.std(scores), rel=1e-12)
