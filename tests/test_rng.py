import jax
import numpy as np
import pytest

from ganjax import rng
from ganjax.errors import UserError


def bits(*args):
    return jax.random.key_data(rng.key(*args)).tolist()


def test_keys_follow_from_seed_stream_and_step():
    assert bits(0, "train", 5) == bits(0, "train", 5)
    assert len({str(bits(*a)) for a in [(0, "train", 5), (1, "train", 5), (0, "init", 5), (0, "train", 6)]}) == 4


def test_a_traced_step_gives_the_same_key():
    traced = jax.jit(lambda step: jax.random.key_data(rng.key(0, "train", step)))(5)
    assert traced.tolist() == bits(0, "train", 5)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, 10**30, 1.5, True, "3", None])
def test_a_seed_that_jax_would_cut_down_is_refused(seed):
    with pytest.raises(UserError, match="a seed must be a whole number from 0 to 4294967295"):
        rng.key(seed, "train")


def test_the_last_seed_is_none_of_the_others():
    assert bits(2**32 - 1, "train") not in (bits(0, "train"), bits(2**31, "train"))
    assert bits(np.int64(7), "train") == bits(7, "train")
