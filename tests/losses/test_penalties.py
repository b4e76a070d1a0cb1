"""Penalties: values by hand; gradients, of second order through the nets, by another exact route and by differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ganjax.losses import penalties
from ganjax.nets import dcgan, resnet

KEY = jax.random.key(0)


@pytest.fixture
def images(x64):
    return jax.random.uniform(jax.random.key(1), (2, 4, 16, 16, 3), jnp.float64, -1, 1)


def test_of_a_linear_discriminator_they_are_known(images):
    weights = jax.random.normal(KEY, (16, 16, 3), jnp.float64)
    square = float(jnp.sum(weights**2))

    def linear(x):
        return jnp.sum(x * weights, (1, 2, 3))

    np.testing.assert_allclose(penalties.r1(linear, *images, KEY), square / 2, rtol=1e-12)
    np.testing.assert_allclose(penalties.r2(linear, *images, KEY), square / 2, rtol=1e-12)
    np.testing.assert_allclose(penalties.wgan_gp(linear, *images, KEY), (np.sqrt(square) - 1) ** 2, rtol=1e-12)


def test_each_looks_at_its_own_images(images):
    real, fake = images

    def half(x):
        return 0.5 * jnp.sum(x**2, (1, 2, 3))

    def mean_square(x):
        return float(jnp.mean(jnp.sum(x**2, (1, 2, 3))))

    np.testing.assert_allclose(penalties.r1(half, real, fake, KEY), mean_square(real) / 2, rtol=1e-12)
    np.testing.assert_allclose(penalties.r2(half, real, fake, KEY), mean_square(fake) / 2, rtol=1e-12)
    points = penalties.between(real, fake, KEY)
    share = (points - fake) / (real - fake)
    np.testing.assert_allclose(share, np.broadcast_to(share[:, :1, :1, :1], share.shape), atol=1e-9)
    assert len(set(np.asarray(share[:, 0, 0, 0]).round(6).tolist())) == len(real)
    assert ((share > 0) & (share < 1)).all()
    norms = jnp.sqrt(jnp.sum(points**2, (1, 2, 3)))
    np.testing.assert_allclose(penalties.wgan_gp(half, real, fake, KEY), jnp.mean((norms - 1) ** 2), rtol=1e-12)


NETS = {
    "dcgan": dcgan.Discriminator(width=4, norm="instance", param_dtype=jnp.float64),
    "sngan": resnet.Discriminator((4, 4, 4, 4), param_dtype=jnp.float64),
}


def directional(name, d_fn, real, fake):
    """Return a scalar whose gradient is the penalty's, by the identity in the docstring of the penalties' module."""
    x = {"r1": real, "r2": fake}.get(name)
    x = penalties.between(real, fake, KEY) if x is None else x

    def total(x):
        return jnp.sum(d_fn(x))

    g = jax.grad(total)(x)
    norm = jnp.sqrt(jnp.sum(g**2, (1, 2, 3), keepdims=True))
    v = 2 * (norm - 1) * g / norm if name == "wgan_gp" else g
    return jax.jvp(total, (x,), (jax.lax.stop_gradient(v / len(x)),))[1]


@pytest.mark.parametrize("name", ["r1", "r2", "wgan_gp"])
@pytest.mark.parametrize("net", NETS)
def test_gradients_equal_the_other_route_and_differences(images, net, name):
    variables = NETS[net].init(KEY, images[0], train=False)

    def d_of(params):
        return lambda x: NETS[net].apply({**variables, "params": params}, x, train=False).logits[0]

    def value(params):
        return getattr(penalties, name)(d_of(params), *images, KEY)

    params, value = variables["params"], jax.jit(value)
    gradient = jax.jit(jax.grad(value))(params)
    other = jax.jit(jax.grad(lambda params: directional(name, d_of(params), *images)))(params)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    assert largest > 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * largest), gradient, other)
    direction = jax.tree.map(lambda leaf: jax.random.normal(KEY, leaf.shape, leaf.dtype), params)
    # A short step, since the gradient jumps where the input of a ReLU changes sign.
    values = [value(jax.tree.map(lambda p, w, s=sign: p + s * 1e-9 * w, params, direction)) for sign in (1, -1)]
    slope = sum(jnp.vdot(g, w) for g, w in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
    np.testing.assert_allclose((values[0] - values[1]) / 2e-9, slope, rtol=1e-4)


def test_a_flat_discriminator_gives_no_nan(images):
    def penalty(scale):
        return penalties.wgan_gp(lambda x: scale * jnp.sum(x, (1, 2, 3)), *images, KEY)

    value, slope = jax.value_and_grad(penalty)(0.0)
    assert (float(value), float(slope)) == (1, 0)


def test_they_are_float32_when_the_net_computes_in_bfloat16():
    net = dcgan.Discriminator(width=4, norm="none", dtype=jnp.bfloat16)
    real = jax.random.uniform(KEY, (4, 16, 16, 3))
    variables = net.init(KEY, real, train=False)

    def value(variables):
        return penalties.r1(lambda x: net.apply(variables, x, train=False).logits[0], real, real, KEY)

    assert value(variables).dtype == jnp.float32
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(value)(variables)))


def test_the_one_sided_penalty_forgives_a_gentle_slope(images):
    def of_slope(s, x):
        return s * jnp.sum(x, (1, 2, 3)) / np.sqrt(16 * 16 * 3)

    for s in (0.25, 1.0, 3.0):
        linear = functools.partial(of_slope, s)
        value = penalties.wgan_gp_one_sided(linear, *images, KEY)
        np.testing.assert_allclose(value, max(s - 1, 0) ** 2, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(penalties.dragan(linear, *images, KEY), (s - 1) ** 2, rtol=1e-10, atol=1e-12)


def test_dragan_looks_about_real_images(images):
    real, fake = images

    def far(x):
        return jnp.sum(x**3, (1, 2, 3)) / 50

    assert penalties.dragan(far, real, fake, KEY) == penalties.dragan(far, real, 0 * fake, KEY)
    assert penalties.dragan(far, real, fake, KEY) != penalties.dragan(far, real, fake, jax.random.key(5))


def mean(x):
    return jnp.mean(x, (1, 2, 3))


def test_lecam_by_hand(images):
    real, fake = (np.asarray(mean(x)) for x in images)
    value = penalties.lecam(0.4, -0.3)(mean, *images, KEY)
    by_hand = (np.maximum(real + 0.3, 0) ** 2).mean() + (np.maximum(0.4 - fake, 0) ** 2).mean()
    np.testing.assert_allclose(value, by_hand, rtol=1e-12)


def test_consistency_is_zero_where_nothing_changes_and_by_hand_where_it_does(images):
    def same(key, x):
        return x

    def brighter(key, x):
        return x + 0.5

    assert penalties.consistency(same)(mean, *images, KEY) == 0
    np.testing.assert_allclose(penalties.consistency(brighter)(mean, *images, KEY), 0.25, rtol=1e-10)
    np.testing.assert_allclose(penalties.consistency(brighter, of_fake=True)(mean, *images, KEY), 0.5, rtol=1e-10)
    np.testing.assert_allclose(penalties.latent_consistency(images[1] + 0.5)(mean, *images, KEY), 0.25, rtol=1e-10)
    np.testing.assert_allclose(penalties.latent_diversity(images[1], images[1] + 0.5), -0.25, rtol=1e-10)


def test_orthogonal_kernels_have_no_penalty():
    q = jnp.linalg.qr(jax.random.normal(KEY, (27, 6)))[0]
    params = {"conv": {"kernel": q.reshape(3, 3, 3, 6), "bias": jnp.ones(6)}, "embed": {"kernel": jnp.ones((4, 4))}}
    assert float(penalties.orthogonal(params)) < 1e-10
    skew = {"dense": {"kernel": jnp.array([[1.0, 2.0], [0.0, 1.0]])}}
    assert float(penalties.orthogonal(skew)) == pytest.approx(2 * 2**2)  # the Gram matrix is (1 2; 2 5)


@pytest.mark.parametrize("name", ["wgan_gp", "wgan_gp_one_sided", "dragan"])
def test_with_keys_of_its_own_an_image_does_not_depend_on_its_batch(images, name):

    def steep(x):
        return 2 * jnp.sum(x**2, (1, 2, 3))

    keys = jax.random.split(KEY, 4)
    whole = getattr(penalties, name)(steep, *images, keys)
    parts = [getattr(penalties, name)(steep, *images[:, i : i + 2], keys[i : i + 2]) for i in (0, 2)]
    np.testing.assert_allclose(whole, sum(parts) / 2, rtol=1e-12)


def test_correspondence_is_the_divergence_of_the_shares_of_likeness(x64):
    rng = np.random.default_rng(0)
    ours, source = ([rng.standard_normal(shape) for shape in ((4, 3, 3, 2), (4, 5))] for _ in range(2))
    expected = 0.0
    for a, b in zip(ours, source, strict=True):
        rows = []
        for layer in (a, b):
            flat = layer.reshape(4, -1)
            unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
            others = [[unit[i] @ unit[j] for j in range(4) if j != i] for i in range(4)]
            rows.append(scipy.special.softmax(others, 1))
        expected += scipy.special.rel_entr(rows[1], rows[0]).sum(1).mean() / 2
    np.testing.assert_allclose(penalties.correspondence(ours, source), expected, rtol=1e-9)
    assert abs(float(penalties.correspondence(source, source))) < 1e-12
    gradients = jax.grad(penalties.correspondence, (0, 1))(
        [jnp.asarray(x) for x in ours], [jnp.asarray(x) for x in source]
    )
    assert float(jnp.abs(gradients[0][0]).max()) > 1e-3 and not any(np.any(leaf) for leaf in gradients[1])
