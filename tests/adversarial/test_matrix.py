"""Every loss works with every penalty and every network, or is refused."""

import itertools

import jax
import numpy as np
import pytest
from stepping import assert_traced, params, shapes, stepped, tiny

from ganjax.adversarial.regularisers import GRADIENT
from ganjax.errors import UserError
from ganjax.losses import logits as losses

PENALTIES = (*GRADIENT, "lecam", "cr", "bcr", "zcr_d", "zcr_g", "orthogonal")
NETS = ("dcgan", "sngan", "sagan", "biggan")
SLOW = pytest.mark.slow
# Only a gradient penalty bounds the gradient of a DCGAN's D: without one the Wasserstein loss is refused.
UNBOUNDED = [penalty for penalty in (None, *PENALTIES) if penalty not in GRADIENT]
CASES = [case for case in itertools.product(losses.KINDS, PENALTIES, NETS)
         if case not in {("wasserstein", penalty, "dcgan") for penalty in UNBOUNDED}]  # fmt: skip
QUICK = [case for case in CASES if case[2] in NETS[:2]][4::27]  # test_golden.py has the other nets


def assert_fits(net, kind, penalty):
    """Assert that the step with this loss and penalty can be traced, and logs the penalty."""
    weight = {f"penalty.{penalty}": 0.5} if penalty else {}
    logged = assert_traced(tiny(net, **weight, **{"loss.kind": kind}))
    assert penalty is None or {"zcr_d": "penalty_zcr"}.get(penalty, f"penalty_{penalty}") in logged


@pytest.mark.parametrize("kind", [kind for kind in losses.KINDS if kind != "wasserstein"])
def test_every_loss_and_penalty_fits(kind):
    for penalty in (None, *PENALTIES):
        assert_fits("dcgan", kind, penalty)


@pytest.mark.parametrize("penalty", GRADIENT)
def test_the_wasserstein_loss_fits_with_a_penalty_on_the_slope(penalty):
    assert_fits("dcgan", "wasserstein", penalty)


@pytest.mark.parametrize("penalty", UNBOUNDED)
def test_the_wasserstein_loss_without_one_is_refused(penalty):
    weight = {f"penalty.{penalty}": 0.5} if penalty else {}
    with pytest.raises(UserError, match="grows without bound"):
        shapes(tiny("dcgan", **weight, **{"loss.kind": "wasserstein"}))


@SLOW
@pytest.mark.parametrize("net", NETS[1:])
def test_every_loss_and_every_penalty_fits_every_net(net):
    """Trace each loss and each penalty once; the slow test has all combinations."""
    for kind, penalty in (*zip(itertools.cycle(losses.KINDS), PENALTIES), ("wasserstein", None)):
        assert_fits(net, kind, penalty)


def assert_trains(kind, penalty, net):
    state, metrics = stepped(tiny(net, **{"loss.kind": kind, f"penalty.{penalty}": 0.5}), 2)
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params(state)))


@pytest.mark.parametrize(("kind", "penalty", "net"), QUICK)
def test_a_sample_of_them_trains(kind, penalty, net):
    assert_trains(kind, penalty, net)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "penalty", "net"), CASES)
def test_each_of_them_trains(kind, penalty, net):
    assert_trains(kind, penalty, net)
