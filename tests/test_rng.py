import jax

from ganjax import rng


def bits(*args):
    return jax.random.key_data(rng.key(*args)).tolist()


def test_keys_follow_from_seed_stream_and_step():
    assert bits(0, "train", 5) == bits(0, "train", 5)
    assert len({str(bits(*a)) for a in [(0, "train", 5), (1, "train", 5), (0, "init", 5), (0, "train", 6)]}) == 4


def test_a_traced_step_gives_the_same_key():
    traced = jax.jit(lambda step: jax.random.key_data(rng.key(0, "train", step)))(5)
    assert traced.tolist() == bits(0, "train", 5)
