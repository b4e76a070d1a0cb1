import pytest

from ganjax.adversarial import optimisers
from ganjax.errors import UserError


@pytest.mark.parametrize(
    ("kind", "start", "rates"),
    [
        ("constant", 0.0, [2, 2, 2, 2, 2]),
        ("linear", 0.0, [2, 1.5, 1, 0.5, 0]),
        ("linear", 0.5, [2, 2, 2, 1, 0]),
        ("cosine", 0.0, [2, 1 + 2**-0.5, 1, 1 - 2**-0.5, 0]),
    ],
)
def test_schedules_at_the_quarters_of_1000_images(kind, start, rates):
    rate = optimisers.schedule(kind, 2.0, 1000, 10, start)
    assert [float(rate(step)) for step in (0, 25, 50, 75, 100)] == pytest.approx(rates, abs=1e-6)
    assert float(rate(500)) == pytest.approx(rates[-1], abs=1e-6)  # past the end


def test_another_batch_size_keeps_the_recipe():
    slow, fast = optimisers.schedule("cosine", 1.0, 1000, 10), optimisers.schedule("cosine", 1.0, 1000, 50)
    assert float(slow(30)) == pytest.approx(float(fast(6)))


def test_unknown_schedules_are_named():
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        optimisers.schedule("cosin", 1.0, 1, 1)
    with pytest.raises(UserError, match="decay_start = 1.0"):
        optimisers.schedule("linear", 1.0, 1, 1, start=1.0)
