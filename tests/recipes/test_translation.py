"""CycleGAN, pix2pix, CUT: what a step logs is what the papers' terms give for the state before it; the pool."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config_of

from ganjax import recipe
from ganjax.adversarial import image_pool
from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.losses import content
from ganjax.nets import translate


def applied(network):
    """Return (variables, image) -> output of a network's state, compiled."""
    return jax.jit(lambda variables, x: network.apply_fn(variables, x, train=True))


def started(name, **changes):
    """Return (config, recipe, state, batch) of a tiny run."""
    config = config_of(f"{name}:debug")
    config.batch_size = 2
    config.update_from_flattened_dict({"model.generator.width": 4, "model.discriminator.width": 4, **changes})
    gan = recipe.build(check(config))
    a, b = (jax.random.uniform(jax.random.key(i), (2, 32, 32, 3), minval=-1) for i in range(2))
    batch = {"a": a, "b": b}
    return config, gan, jax.jit(gan.init)(jax.random.key(2), batch), batch


def l1(x, y):
    return jnp.mean(jnp.abs(x - y))


def test_cyclegans_terms_are_the_papers():
    config, gan, state, batch = started("cyclegan")
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    g, d = state.generator, state.discriminator
    generate, score = applied(g), applied(d)
    go = lambda way, x: generate({"params": g.params[way]}, x)  # noqa: E731
    judge = lambda state, domain, x: score({"params": state.params[domain]}, x)[0]  # noqa: E731
    a, b = batch["a"], batch["b"]
    fake_a, fake_b = go("ba", b), go("ab", a)
    expected = {
        "cycle_a": l1(go("ba", fake_b), a),
        "cycle_b": l1(go("ab", fake_a), b),
        "identity_a": l1(go("ba", a), a),
        "identity_b": l1(go("ab", b), b),
        "g_loss_ab": jnp.mean((judge(d, "b", fake_b) - 1) ** 2),
        "g_loss_ba": jnp.mean((judge(d, "a", fake_a) - 1) ** 2),
        # The pool is not full: D sees the new images.
        "d_loss_a": 0.5 * (jnp.mean((judge(d, "a", a) - 1) ** 2) + jnp.mean(judge(d, "a", fake_a) ** 2)),
        "d_loss_b": 0.5 * (jnp.mean((judge(d, "b", b) - 1) ** 2) + jnp.mean(judge(d, "b", fake_b) ** 2)),
    }
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), rel=1e-4), name
    assert int(after.extra["pool_a"]["count"]) == 2
    np.testing.assert_allclose(after.extra["pool_b"]["images"][:2], fake_b, atol=1e-5)


def test_cyclegans_gradient_is_that_of_the_weighted_sum():
    """Adam's first moment after a step is (1 - b1) times the gradient."""
    config, gan, state, batch = started("cyclegan")
    after, _ = jax.jit(gan.step)(state, batch, jax.random.key(3))
    g, d, (a, b) = state.generator, state.discriminator, (batch["a"], batch["b"])

    def total(params):
        go = lambda way, x: g.apply_fn({"params": params[way]}, x, train=True)  # noqa: E731
        judge = lambda domain, x: d.apply_fn({"params": d.params[domain]}, x, train=True)[0]  # noqa: E731
        fake_a, fake_b = go("ba", b), go("ab", a)
        adversarial = jnp.mean((judge("b", fake_b) - 1) ** 2) + jnp.mean((judge("a", fake_a) - 1) ** 2)
        cycle = l1(go("ba", fake_b), a) + l1(go("ab", fake_a), b)
        return adversarial + 10 * cycle + 5 * (l1(go("ba", a), a) + l1(go("ab", b), b))

    wanted, found = jax.jit(jax.grad(total))(g.params), after.generator.opt_state[0].mu
    for x, y in zip(jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(2 * y, x, atol=1e-5 + 1e-4 * float(jnp.abs(x).max()))


def test_several_scales_are_summed():
    _, gan, state, batch = started("cyclegan", **{"model.discriminator.scales": 2, "model.discriminator.layers": 1})
    _, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    g, d = state.generator, state.discriminator
    fake = applied(g)({"params": g.params["ab"]}, batch["a"])
    both, _ = applied(d)({"params": d.params["b"]}, fake)
    assert len(both) == 2 and both[1].shape[1] < both[0].shape[1]
    expected = sum(float(jnp.mean((logits - 1) ** 2)) for logits in both)
    assert float(terms["g_loss_ab"]) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(UserError, match="scales = 0 must be at least 1"):
        started("cyclegan", **{"model.discriminator.scales": 0})


def test_pix2pixs_terms_are_the_papers():
    _, gan, state, batch = started("pix2pix", **{"model.generator.dropout": 0.0})
    _, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    g, d = state.generator, state.discriminator
    fake, score = applied(g)(g.variables, batch["a"]), applied(d)
    judge = lambda x: score(d.variables, jnp.concatenate([batch["a"], x], -1))[0]  # noqa: E731
    entropy = jnp.mean(jax.nn.softplus(-judge(batch["b"]))) + jnp.mean(jax.nn.softplus(judge(fake)))
    assert float(terms["d_loss"]) == pytest.approx(float(entropy / 2), rel=1e-4)
    assert float(terms["l1"]) == pytest.approx(float(l1(fake, batch["b"])), rel=1e-4)


def test_fastcut_holds_mirrored_patches_against_the_image_as_it_is():
    """All mirrored, a generator that is the same in the mirror gives what it gives without."""
    values = []
    for mirror in (0.0, 1.0):
        _, gan, state, batch = started("cut", **{"loss.mirror": mirror, "loss.nce_identity": False})
        params = jax.tree.map(lambda x: (x + x[:, ::-1]) / 2 if x.ndim == 4 else x, state.generator.params)
        state = state.replace(generator=state.generator.replace(params=params))
        values.append(float(jax.jit(gan.step)(state, batch, jax.random.key(3))[1]["nce"]))
    # Strides of 2 by a blur that keeps every other pixel are not quite the same in the mirror.
    assert values[0] == pytest.approx(values[1], rel=0.05)


@pytest.mark.parametrize(
    "name", ["pix2pix", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cyclegan", "cut"))]
)
def test_accumulation_gives_the_result_of_the_large_batch(name, x64):
    results = []
    for parts in (1, 2):
        _, gan, state, batch = started(name, accumulate=parts, precision="float64")
        batch = {key: value.astype(jnp.float64) for key, value in batch.items()}
        results.append(jax.jit(gan.step)(state, batch, jax.random.key(3))[0])
    for x, y in zip(*(jax.tree.leaves((state.generator.opt_state, state.extra)) for state in results), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


def test_the_pool_shows_new_images_until_it_is_full_and_then_one_in_two():
    pool, keys = image_pool.empty(3, (1, 1, 1), jnp.float32), jax.random.split(jax.random.key(0), 3)
    shown, filled = image_pool.exchange(pool, jnp.arange(3.0).reshape(3, 1, 1, 1), keys)
    assert shown.ravel().tolist() == [0, 1, 2] == filled["images"].ravel().tolist() and int(filled["count"]) == 3
    new = 10 + jnp.arange(1000.0).reshape(-1, 1, 1, 1)
    shown, after = image_pool.exchange(filled, new, jax.random.split(jax.random.key(1), 1000))
    share = float((shown == new).mean())
    assert 0.45 < share < 0.55
    old = [value for value in shown.ravel().tolist() if value < 10]
    assert sorted(old + [v for v in after["images"].ravel().tolist() if v < 10]) == [0, 1, 2]  # none is lost or twice
    none = image_pool.empty(0, (1, 1, 1), jnp.float32)
    assert (image_pool.exchange(none, new, jax.random.split(jax.random.key(1), 1000))[0] == new).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss.kind": "relativistic"}, "none of cyclegan's: least_squares, hinge, non_saturating"),
        ({"loss.kind": "hing"}, "did you mean 'hinge'"),
        ({"data.labels": True}, "cyclegan translates images, and learns from no labels"),
        ({"loss.content_kind": "poled"}, "content_kind = 'poled' is none of structure, pooled; did you mean 'pooled'"),
        ({"accumulate": 3}, "accumulate = 3 must divide batch_size = 2"),
    ],
)
def test_what_cannot_be_right_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        started("cyclegan", **changes)


def test_pix2pix_wants_pairs():
    with pytest.raises(UserError, match="pix2pix learns from pairs"):
        started("pix2pix", **{"data.paired": "no"})


def test_sizes_of_the_published_nets():
    config = config_of("cyclegan")
    gan = recipe.build(check(config))
    shape = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    state = jax.eval_shape(gan.init, jax.random.key(0), {"a": shape, "b": shape})
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))  # noqa: E731
    assert count(state.generator.params) == 2 * 11_378_179 and count(state.discriminator.params) == 2 * 2_764_737
    assert state.extra["pool_a"]["images"].shape == (50, 256, 256, 3)
    assert translate.Generator().blocks == 9


def test_sincuts_terms_are_the_papers():
    _, gan, state, batch = started("sincut")
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    g, d, (a, b) = state.generator, state.discriminator, (batch["a"], batch["b"])
    generate, score = applied(g), applied(d)
    go = lambda x: generate({"params": g.params["net"]}, x)  # noqa: E731
    judge = lambda x: score({"params": d.params}, x)[0]  # noqa: E731
    entropy = jnp.mean(jax.nn.softplus(-judge(b))) + jnp.mean(jax.nn.softplus(judge(go(a))))
    squared = jnp.sum(jax.jit(jax.grad(lambda x: jnp.sum(judge(x))))(b) ** 2, (1, 2, 3))
    moved = lambda x: score({"params": after.discriminator.params}, x)[0]  # noqa: E731
    expected = {
        "d_loss": entropy / 2,
        "r1": jnp.mean(squared) / 2,
        "identity": l1(go(b), b),
        "g_loss": jnp.mean(jax.nn.softplus(-moved(go(a)))),
    }
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), rel=1e-3), name


def test_sincut_tells_a_patch_among_those_of_the_other_images():
    """Where all images are one, every patch's negatives are at other places; of one image there are none."""
    _, gan, state, batch = started("sincut")
    same = {name: jnp.zeros_like(value) for name, value in batch.items()}
    _, terms = jax.jit(gan.step)(state, same, jax.random.key(3))
    # Of a flat image the image's own colours are all alike: one layer of three cannot be told, log 2.
    assert float(terms["nce"]) > np.log(2) / 3 - 1e-3
    with pytest.raises(UserError, match="batch_size = 1, .* sincut compares the images of its batch"):
        started("sincut", batch_size=1)


def test_fastcut_holds_the_content_against_what_g_was_shown():
    """All mirrored, the loss is that of the mirrored image and its translation."""
    changes = {"loss.mirror": 1.0, "loss.nce_identity": False, "loss.content": 1.0}
    _, gan, state, batch = started("cut", **changes)
    _, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    shown = batch["a"][:, :, ::-1]
    made = applied(state.generator)({"params": state.generator.params["net"]}, shown)
    assert float(terms["content"]) == pytest.approx(float(content.structure(made, shown)), rel=1e-3)


@pytest.mark.parametrize(
    "name", ["pix2pix", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cyclegan", "cut", "sincut"))]
)
def test_a_content_loss_is_mixed_in_by_its_weight(name):
    changes = {"model.generator.dropout": 0.0} if name == "pix2pix" else {}
    _, gan, state, batch = started(name, **changes, **{"loss.content": 3.0, "loss.content_kind": "pooled"})
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    _, plain, _, _ = started(name, **changes)
    without, bare = jax.jit(plain.step)(state, batch, jax.random.key(3))
    g = state.generator
    net = {"cyclegan": ("ab", "ba"), "cut": ("net", None), "sincut": ("net", None)}.get(name, (None, None))
    generate = applied(g)
    go = lambda way, x: generate({"params": g.params[way] if way else g.params}, x)  # noqa: E731
    logged = "content_a" if name == "cyclegan" else "content"
    expected = content.pooled(go(net[0], batch["a"]), batch["a"])
    assert float(terms[logged]) == pytest.approx(float(expected), rel=1e-3) and logged not in bare

    def alone(params):
        go = lambda way, x: g.apply_fn({"params": params[way] if way else params}, x, train=True)  # noqa: E731
        loss = content.pooled(go(net[0], batch["a"]), batch["a"])
        return loss + content.pooled(go("ba", batch["b"]), batch["b"]) if net[1] else loss

    # Adam's first moment after a step is (1 - b1) times the gradient.
    share = 1.0 if name == "sincut" else 0.5
    mixed, bare = (state.generator.opt_state[0].mu for state in (after, without))
    for found, x, y in zip(*map(jax.tree.leaves, (jax.jit(jax.grad(alone))(g.params), mixed, bare)), strict=True):
        size = float(jnp.abs(x).max())
        np.testing.assert_allclose((x - y) / share, 3 * found, atol=1e-5 + 1e-4 * size)


def test_pix2pix_matches_features_by_config():
    _, gan, state, batch = started("pix2pix", **{"model.generator.dropout": 0.0, "loss.feature_matching": 10.0})
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    d = after.discriminator
    score, fake = applied(d), applied(state.generator)(state.generator.variables, batch["a"])
    features = lambda x: score(d.variables, jnp.concatenate([batch["a"], x], -1))[1]  # noqa: E731
    expected = np.mean([float(l1(x, y)) for x, y in zip(features(fake), features(batch["b"]), strict=True)])
    assert float(terms["feature_matching"]) == pytest.approx(expected, rel=1e-3)
