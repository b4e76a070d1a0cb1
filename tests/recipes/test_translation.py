"""CycleGAN, pix2pix, CUT: a step logs the terms of the papers, computed on the state before it; the image pool."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config_of, networks_of_side, replaced

from ganjax import recipe, task
from ganjax.adversarial import image_pool
from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.losses import content
from ganjax.nets import translate


@functools.partial(jax.jit, static_argnums=0)
def compiled(apply, variables, x):
    return apply(variables, x, train=True)


def applied(network, x):
    """Return the output of a state's network in training mode."""
    return compiled(network.apply_fn, network.variables, x)


def started(name, **changes):
    """Return (config, recipe, state, batch) of a tiny run."""
    config = config_of(f"{name}:debug")
    config.batch_size = 2
    config.update_from_flattened_dict({"model.generator.width": 4, "model.discriminator.width": 4, **changes})
    config = check(config)
    task.of(config).check(config)
    gan = recipe.build(config)
    a, b = (jax.random.uniform(jax.random.key(i), (2, 32, 32, 3), minval=-1) for i in range(2))
    batch = {"a": a, "b": b}
    return config, gan, jax.jit(gan.init)(jax.random.key(2), batch), batch


def l1(x, y):
    return jnp.mean(jnp.abs(x - y))


def moments(state, names):
    """Return Adam's first moments of these networks: after one step, (1 - b1) times the gradient."""
    return {name: state.networks[name].opt_state[0].mu for name in names}


def test_cyclegans_terms_are_the_papers():
    config, gan, state, batch = started("cyclegan")
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))

    def go(way, x):
        return applied(state.networks[f"generator_{way}"], x).image

    def judge(domain, x):
        return applied(state.networks[f"discriminator_{domain}"], x).logits[0]

    a, b = batch["a"], batch["b"]
    fake_a, fake_b = go("ba", b), go("ab", a)
    expected = {
        "cycle_a": l1(go("ba", fake_b), a),
        "cycle_b": l1(go("ab", fake_a), b),
        "identity_a": l1(go("ba", a), a),
        "identity_b": l1(go("ab", b), b),
        "g_loss_ab": jnp.mean((judge("b", fake_b) - 1) ** 2),
        "g_loss_ba": jnp.mean((judge("a", fake_a) - 1) ** 2),
        # The pool is not full yet: D sees the new images.
        "d_loss_a": 0.5 * (jnp.mean((judge("a", a) - 1) ** 2) + jnp.mean(judge("a", fake_a) ** 2)),
        "d_loss_b": 0.5 * (jnp.mean((judge("b", b) - 1) ** 2) + jnp.mean(judge("b", fake_b) ** 2)),
    }
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), rel=1e-4), name
    assert int(after.extra["pool_a"]["count"]) == 2
    np.testing.assert_allclose(after.extra["pool_b"]["images"][:2], fake_b, atol=1e-5)


@pytest.mark.slow
def test_cyclegans_gradient_is_that_of_the_weighted_sum():
    config, gan, state, batch = started("cyclegan")
    after, _ = jax.jit(gan.step)(state, batch, jax.random.key(3))
    a, b, networks = batch["a"], batch["b"], state.networks

    def judge(domain, x):
        return applied(networks[f"discriminator_{domain}"], x).logits[0]

    def total(params):
        def go(way, x):
            name = f"generator_{way}"
            return networks[name].apply_fn({"params": params[name]}, x, train=True).image

        fake_a, fake_b = go("ba", b), go("ab", a)
        adversarial = jnp.mean((judge("b", fake_b) - 1) ** 2) + jnp.mean((judge("a", fake_a) - 1) ** 2)
        cycle = l1(go("ba", fake_b), a) + l1(go("ab", fake_a), b)
        return adversarial + 10 * cycle + 5 * (l1(go("ba", a), a) + l1(go("ab", b), b))

    expected = jax.jit(jax.grad(total))({name: networks[name].params for name in ("generator_ab", "generator_ba")})
    for x, y in zip(*map(jax.tree.leaves, (expected, moments(after, expected))), strict=True):
        np.testing.assert_allclose(2 * y, x, atol=1e-5 + 1e-4 * float(jnp.abs(x).max()))


@pytest.mark.slow
def test_several_scales_are_summed():
    _, gan, state, batch = started("cyclegan", **{"model.discriminator.scales": 2, "model.discriminator.layers": 1})
    _, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    fake = applied(state.networks["generator_ab"], batch["a"]).image
    both = applied(state.networks["discriminator_b"], fake).logits
    assert len(both) == 2 and both[1].shape[1] < both[0].shape[1]
    expected = sum(float(jnp.mean((logits - 1) ** 2)) for logits in both)
    assert float(terms["g_loss_ab"]) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(UserError, match="scales = 0 must be at least 1"):
        started("cyclegan", **{"model.discriminator.scales": 0})


def test_pix2pixs_terms_are_the_papers():
    _, gan, state, batch = started("pix2pix", **{"model.generator.dropout": 0.0})
    _, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    fake = applied(state.networks["generator"], batch["a"]).image

    def judge(x):
        return applied(state.networks["discriminator"], jnp.concatenate([batch["a"], x], -1)).logits[0]

    entropy = jnp.mean(jax.nn.softplus(-judge(batch["b"]))) + jnp.mean(jax.nn.softplus(judge(fake)))
    assert float(terms["d_loss"]) == pytest.approx(float(entropy / 2), rel=1e-4)
    assert float(terms["l1"]) == pytest.approx(float(l1(fake, batch["b"])), rel=1e-4)


@pytest.mark.slow  # test_golden.py has the numbers
def test_fastcut_holds_mirrored_patches_against_the_image_as_it_is():
    """With a generator that commutes with flips, flipping all images does not change the loss."""
    values = []
    for mirror in (0.0, 1.0):
        _, gan, state, batch = started("cut", **{"loss.mirror": mirror, "loss.nce_identity": False})
        params = jax.tree.map(lambda x: (x + x[:, ::-1]) / 2 if x.ndim == 4 else x, state.networks["generator"].params)
        state = replaced(state, "generator", params=params)
        values.append(float(jax.jit(gan.step)(state, batch, jax.random.key(3))[1]["nce"]))
    # Downsampling by a blur of stride 2 does not commute exactly with flips.
    assert values[0] == pytest.approx(values[1], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "cut"])
def test_accumulation_gives_the_result_of_the_large_batch(name, x64):
    results = []
    for parts in (1, 2):
        _, gan, state, batch = started(name, accumulate=parts, precision="float64")
        batch = {key: value.astype(jnp.float64) for key, value in batch.items()}
        results.append(jax.jit(gan.step)(state, batch, jax.random.key(3))[0])
    names = networks_of_side(results[0], "generator")
    trees = ([state.networks[name].opt_state for name in names] + [state.extra] for state in results)
    for x, y in zip(*map(jax.tree.leaves, trees), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


def test_the_pool_shows_new_images_until_it_is_full_and_then_one_in_two():
    pool, keys = image_pool.empty(3, (1, 1, 1), jnp.float32), jax.random.split(jax.random.key(0), 3)
    outputs, full = image_pool.exchange(pool, jnp.arange(3.0).reshape(3, 1, 1, 1), keys)
    assert outputs.ravel().tolist() == [0, 1, 2] == full["images"].ravel().tolist() and int(full["count"]) == 3
    new = 10 + jnp.arange(1000.0).reshape(-1, 1, 1, 1)
    outputs, after = image_pool.exchange(full, new, jax.random.split(jax.random.key(1), 1000))
    share = float((outputs == new).mean())
    assert 0.45 < share < 0.55
    old = [value for value in outputs.ravel().tolist() if value < 10]
    assert sorted(old + [v for v in after["images"].ravel().tolist() if v < 10]) == [0, 1, 2]  # none is lost or doubled
    none = image_pool.empty(0, (1, 1, 1), jnp.float32)
    assert (image_pool.exchange(none, new, jax.random.split(jax.random.key(1), 1000))[0] == new).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss.kind": "relativistic"}, "kind = 'relativistic' must be 'least_squares', 'hinge' or 'non_saturating'"),
        ({"loss.kind": "hing"}, "did you mean 'hinge'"),
        ({"data.labels": True}, "cyclegan translates images and uses no labels"),
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
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(net.params)) for name, net in state.networks.items()}
    assert sizes == {"generator_ab": 11_378_179, "generator_ba": 11_378_179,
                     "discriminator_a": 2_764_737, "discriminator_b": 2_764_737}  # fmt: skip
    assert state.extra["pool_a"]["images"].shape == (50, 256, 256, 3)
    assert translate.Generator().blocks == 9


@pytest.mark.slow
def test_sincuts_terms_are_the_papers():
    config, gan, state, batch = started("sincut")
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    a, b = batch["a"], batch["b"]

    def go(x):
        return applied(state.networks["generator"], x).image

    def judge(x, at=state):
        return applied(at.networks["discriminator"], x).logits[0]

    entropy = jnp.mean(jax.nn.softplus(-judge(b))) + jnp.mean(jax.nn.softplus(judge(go(a))))
    squared = jnp.sum(jax.jit(jax.grad(lambda x: jnp.sum(judge(x))))(b) ** 2, (1, 2, 3))
    expected = {
        "d_loss": entropy / 2,
        "penalty_r1": config.loss.r1 * jnp.mean(squared) / 2,
        "identity": l1(go(b), b),
        "g_loss": jnp.mean(jax.nn.softplus(-judge(go(a), after))),
    }
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), rel=1e-3), name


def test_sincut_tells_a_patch_among_those_of_the_other_images():
    """If all images are equal, a patch cannot be distinguished from its negatives; a batch of one has no negatives."""
    _, gan, state, batch = started("sincut")
    same = {name: jnp.zeros_like(value) for name, value in batch.items()}
    _, terms = jax.jit(gan.step)(state, same, jax.random.key(3))
    # All patches of a flat image's pixels are equal: this layer, one of three, has the loss log 2.
    assert float(terms["nce"]) > np.log(2) / 3 - 1e-3
    with pytest.raises(UserError, match="batch_size = 1, .* sincut compares the images of its batch"):
        started("sincut", batch_size=1)


def test_fastcut_holds_the_content_against_what_g_was_shown():
    """With all images flipped, the content loss compares the flipped image with its translation."""
    changes = {"loss.mirror": 1.0, "loss.nce_identity": False, "loss.content": 1.0}
    _, gan, state, batch = started("cut", **changes)
    _, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    flipped = batch["a"][:, :, ::-1]
    fake = applied(state.networks["generator"], flipped).image
    assert float(terms["content"]) == pytest.approx(float(content.structure(fake, flipped)), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "cut", "sincut"])
def test_a_content_loss_is_mixed_in_by_its_weight(name):
    changes = {"model.generator.dropout": 0.0} if name == "pix2pix" else {}
    _, gan, state, batch = started(name, **changes, **{"loss.content": 3.0, "loss.content_kind": "pooled"})
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    _, plain, _, _ = started(name, **changes)
    without, bare = jax.jit(plain.step)(state, batch, jax.random.key(3))
    ways = {"generator_ab": "a", "generator_ba": "b"} if name == "cyclegan" else {"generator": "a"}
    translator = state.networks["generator_ab" if name == "cyclegan" else "generator"]
    logged = "content_a" if name == "cyclegan" else "content"
    expected = content.pooled(applied(translator, batch["a"]).image, batch["a"])
    assert float(terms[logged]) == pytest.approx(float(expected), rel=1e-3) and logged not in bare

    def alone(params):
        """Return the content loss of the translators, on which CUT's heads have no effect."""
        total = 0
        for net, side in ways.items():
            out = state.networks[net].apply_fn({"params": params[net]}, batch[side], train=True)
            total += content.pooled(out.image, batch[side])
        return total

    share = 1.0 if name == "sincut" else 0.5  # 1 - b1
    names = networks_of_side(state, "generator")
    gradients = jax.jit(jax.grad(alone))({net: state.networks[net].params for net in names})
    mixed, bare = (moments(each, names) for each in (after, without))
    for gradient, x, y in zip(*map(jax.tree.leaves, (gradients, mixed, bare)), strict=True):
        size = float(jnp.abs(x).max())
        # A bias before an instance norm has no gradient: rounding alone leaves up to 1.1e-5 of CUT's.
        np.testing.assert_allclose((x - y) / share, 3 * gradient, atol=2e-5 + 1e-4 * size)


def test_pix2pix_matches_features_by_config():
    _, gan, state, batch = started("pix2pix", **{"model.generator.dropout": 0.0, "loss.feature_matching": 10.0})
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(3))
    fake = applied(state.networks["generator"], batch["a"]).image

    def features(x):
        return applied(after.networks["discriminator"], jnp.concatenate([batch["a"], x], -1)).features

    expected = np.mean([float(l1(x, y)) for x, y in zip(features(fake), features(batch["b"]), strict=True)])
    assert float(terms["feature_matching"]) == pytest.approx(expected, rel=1e-3)
