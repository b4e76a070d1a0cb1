"""Recipes from noise: every option has its effect; invalid options are refused in one sentence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stepping import assert_traced, params, shapes, started, stepped, tiny

from ganjax.adversarial import image_keys, optimisers
from ganjax.adversarial.regularisers import GRADIENT
from ganjax.errors import UserError
from ganjax.losses import penalties

PENALTIES = (*GRADIENT, "lecam", "cr", "bcr", "zcr_d", "zcr_g", "orthogonal")
SLOW = pytest.mark.slow


def assert_keys_are_used_once(config):
    """Run JAX's key reuse checker on the traced step; nothing is compiled."""
    gan, state, batch = shapes(config)
    with jax.debug_key_reuse(True):
        jax.jit(gan.step).trace(state, batch, jax.random.key(1))


KEYED = [{f"penalty.{name}": 0.5} for name in PENALTIES]
ALL = {f"penalty.{name}": 0.5 for name in PENALTIES} | {"diffaugment": "full", "loss.instance_noise": 0.1}
KEYED.append(ALL | {"model.discriminator.dropout": 0.2, "loss.kind": "relativistic"})
KEYED.append(ALL | {"penalty.every": 2, "d_steps": 2, "accumulate": 2})


@pytest.mark.parametrize("changes", KEYED, ids=[*PENALTIES, "all", "all, lazily"])
def test_no_two_draws_of_a_step_share_a_key(changes):
    assert_keys_are_used_once(tiny("dcgan", **changes))


def test_the_checker_of_keys_objects_where_a_key_is_used_twice():
    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(lambda key: jax.random.normal(key) + jax.random.normal(key)).trace(jax.random.key(0))


def test_penalties_draw_points_of_their_own():
    keys = jax.random.split(jax.random.key(0), 3)
    data = [jax.random.key_data(image_keys.penalty_keys(keys, name)).tolist() for name in image_keys.DRAWING]
    assert len({str(rows) for rows in data}) == len(data) and set(image_keys.DRAWING) <= set(PENALTIES)


@pytest.mark.parametrize(
    ("net", "changes", "message"),
    [
        (
            "dcgan",
            {"model.discriminator.norm": "batch", "penalty.r1": 1.0},
            "penalty.r1 .* batch norm .* layer, instance",
        ),
        ("dcgan", {"loss.kind": "wasserstein"}, "wasserstein.*penalty.wgan_gp=10"),
        ("dcgan", {"loss.kind": "hinge", "loss.label_smoothing": 0.1}, "'hinge' has no targets to smooth"),
        ("dcgan", {"loss.kind": "hing"}, "did you mean 'hinge'"),
        ("dcgan", {"condition.kind": "projection"}, "needs labels: set --config.data.labels=true"),
        ("dcgan", {"condition.kind": "projecton"}, "did you mean 'projection'"),
        ("dcgan", {"accumulate": 3}, "accumulate = 3 must divide batch_size = 4"),
        ("sngan", {"accumulate": 2}, "batch norm in the generator .* take a smaller batch"),
        ("dcgan", {"accumulate": 2, "model.discriminator.dropout": 0.2}, "dropout draws for a whole batch"),
        ("biggan", {"model.generator.widths": ()}, r"widths \(\) and the factor"),
        ("sngan", {"model.width": float("nan")}, "model.width = nan must be from"),
        ("dcgan", {"accumulate": 2, "loss.feature_matching": 1.0}, "needs the means of the whole batch"),
        (
            "stylegan2",
            {"accumulate": 2, "model.discriminator.group": 2},
            "path_length needs the mean of the whole batch",
        ),
        (
            "stylegan2",
            {"accumulate": 2, "penalty.path_length": 0.0, "model.discriminator.group": 4},
            "must divide the batch, or each accumulated part of it: 2 images",
        ),
        ("stylegan2", {"latent": "uniform"}, "style mixing draws from"),
        ("r3gan2", {"accumulate": 2}, "draws the noise of its layers for a whole batch"),
        (
            "dcgan",
            {"ada.policy": "bgc", "ada.p": {"kind": "linear", "from": 0.0, "to": 0.5, "images": 8}},
            "ada.p is a schedule",
        ),
        ("dcgan", {"diffaugment": "hue"}, "diffaugment: augmentation 'hue' is not one of"),
        ("biggan", {"model.z_dim": 7}, "z_dim = 7 is cut into 3 parts"),
        ("sngan", {"model.width": 0.0}, "must be above 0"),
    ],
)
def test_what_cannot_be_right_is_refused_in_a_sentence(net, changes, message):
    with pytest.raises(UserError, match=message) as error:
        shapes(tiny(net, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("net", "extra"),
    [
        pytest.param("dcgan", {"loss.kind": "relativistic", "penalty.r1": 1.0, "penalty.every": 2}, marks=SLOW),
        pytest.param("dcgan", {"loss.kind": "hinge", "penalty.wgan_gp": 1.0, "penalty.zcr_d": 1.0,
                               "penalty.zcr_g": 0.5, "diffaugment": "full"}, marks=SLOW),
        ("dcgan", {"penalty.lecam": 0.3, "penalty.bcr": 1.0, "d_steps": 2, "condition.kind": "acgan",
                   "data.labels": True, "condition.dropout": 0.3}),
        pytest.param("r3gan", {}, marks=SLOW),
        pytest.param("stylegan2", {"penalty.path_length": 0.0, "model.discriminator.group": 2}, marks=SLOW),
    ],
)  # fmt: skip
def test_accumulation_gives_the_result_of_the_large_batch(net, extra, x64):
    """Parameters and collections after three steps, and logged terms, agree up to rounding, in float64."""
    results = []
    for parts in (1, 4):
        config = tiny(net, batch=8, precision="float64", accumulate=parts, **extra)
        results.append(stepped(config, 3, jnp.float64))
    (a, logged), (b, again) = results
    near = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-9)
    for name in a.networks:
        jax.tree.map(near, a.networks[name].variables, b.networks[name].variables)
    for name in logged:
        if name != "d_features":  # a root of a mean
            np.testing.assert_allclose(again[name], logged[name], rtol=0, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("net", ["dcgan", "sngan", "r3gan", "r3gan2", "stylegan2"])
def test_cdc_sees_the_convolutions_of_each_generator(net):
    gan, state, batch = shapes(tiny(net, **{"penalty.cdc": 1.0}))
    state = state.replace(frozen={**state.frozen, "source": state.networks["generator"].variables})
    assert "penalty_cdc" in jax.eval_shape(gan.step, state, batch, jax.random.key(1))[1]


def test_a_run_from_before_a_key_was_known_is_at_its_default():
    config = tiny("dcgan")
    old = type(config)({key: value for key, value in config.to_dict().items() if key not in ("penalty", "condition")})
    del old.optimizer.warmup_images
    (_, first), (_, again) = stepped(config), stepped(old)
    assert {name: float(value) for name, value in first.items()} == {name: float(v) for name, v in again.items()}
    assert "penalty" not in old


def test_every_network_counts_its_updates():
    for changes, d_updates in (({"d_steps": 3}, 6), ({"penalty.r1": 1.0, "penalty.every": 2}, 3)):
        state, _ = stepped(tiny("dcgan", **changes), 2)
        counts = {name: int(network.step) for name, network in state.networks.items()}
        assert int(state.step) == 2 and counts == {"generator": 2, "discriminator": d_updates}


def test_a_lazy_penalty_is_an_update_of_its_own_by_a_corrected_adam(x64):
    """Every k-th update is followed by one of k times the penalty, and Adam's rate and betas are those of
    c = k / (k + 1): rate * c, beta ** c (Karras et al. 2020, appendix B).
    """
    weight, every = 0.5, 2
    c = every / (every + 1)
    lazy = tiny("dcgan", precision="float64", **{"penalty.r1": weight, "penalty.every": every})
    one, first = stepped(lazy, 1, jnp.float64)  # update 0 has the penalty
    assert float(first["penalty_r1"]) > 0 == float(stepped(lazy, 2, jnp.float64)[1]["penalty_r1"])
    assert int(one.networks["discriminator"].step) == 2

    b1, b2, rate = lazy.optimizer.b1**c, lazy.optimizer.b2**c, lazy.optimizer.d_lr * c
    without = {"optimizer.d_lr": rate, "optimizer.b1": b1, "optimizer.b2": b2}
    d = stepped(tiny("dcgan", precision="float64", **without), 1, jnp.float64)[0].networks["discriminator"]
    batch = started(lazy, jnp.float64)[2]

    def penalty(params):
        def judge(x):
            return d.apply_fn({"params": params}, x, None, train=True).logits[0]

        return every * weight * penalties.r1(judge, batch["image"], None, jax.random.key(0))

    adam = optimisers.adam(lambda count: rate, b1, b2, eps=lazy.optimizer.eps)
    updates, _ = adam.update(jax.grad(penalty)(d.params), d.opt_state, d.params)
    expected = optax.apply_updates(d.params, updates)
    near = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-9)
    jax.tree.map(near, one.networks["discriminator"].params, expected)


def test_the_penalty_in_the_step_is_the_penalty():
    """The logged penalty equals a direct call on the state before the step."""
    gan, state, batch = started(tiny("dcgan", **{"penalty.r1": 3.0}))
    _, metrics = jax.jit(gan.step)(state, batch, jax.random.key(1))
    d = state.networks["discriminator"]

    def judge(x):
        return d.apply_fn({"params": d.params}, x, None, train=True).logits[0]

    expected = 3 * penalties.r1(judge, batch["image"], None, jax.random.key(0))
    np.testing.assert_allclose(metrics["penalty_r1"], expected, rtol=1e-5)


def test_lecams_averages_are_debiased_and_kept_in_the_state():
    config = tiny("dcgan", **{"penalty.lecam": 0.3, "penalty.lecam_decay": 0.9})
    state, metrics = stepped(config, 1)
    real, fake, weight = np.asarray(state.extra["lecam"], np.float64)
    assert weight == pytest.approx(0.1, rel=1e-5)
    np.testing.assert_allclose([real / weight, fake / weight], [metrics["d_real"], metrics["d_fake"]], rtol=1e-4)
    assert float(metrics["penalty_lecam"]) == 0  # nothing to compare with yet
    assert float(stepped(config, 2)[1]["penalty_lecam"]) >= 0


def test_each_of_several_d_updates_sees_images_of_its_own():
    """Updates on the two halves of a batch differ from two updates on its first half."""
    gan, state, batch = started(tiny("dcgan", d_steps=2))
    step = jax.jit(gan.step)
    again = {name: jnp.repeat(array[::2], 2, 0) for name, array in batch.items()}
    results = [params(step(state, b, jax.random.key(1))[0])["discriminator"] for b in (batch, again)]
    pairs = zip(*map(jax.tree.leaves, results), strict=True)
    assert any(bool((a != b).any()) for a, b in pairs)


@pytest.mark.parametrize(
    ("net", "kind"),
    [
        ("dcgan", "projection"),
        ("dcgan", "acgan"),
        ("sngan", "acgan"),
        pytest.param("biggan", "projection", marks=SLOW),
    ],  # fmt: skip
)
def test_conditional_nets_draw_what_they_are_asked_for(net, kind):
    config = tiny(net, **{"data.labels": True, "condition.kind": kind})
    logged = assert_traced(config)
    assert ("d_class_loss" in logged) == (kind == "acgan")
    gan, state, _ = started(config)
    method = gan.methods["sample"]
    inputs, variables = method.inputs(jax.random.key(0), 6), state.variables(method.networks)
    assert inputs["label"].shape == (6, 1)
    # At init, norms with an embedding per label are the identity; with a shared or concatenated embedding they are not.
    sample = jax.jit(lambda label: method.apply(variables, jax.random.key(3), {**inputs, "label": label})["image"])
    images = [sample(jnp.full((6, 1), k)) for k in (0, 1, -1)]
    same = [bool((a == images[0]).all()) for a in images[1:]]
    assert all(same) == (net in ("sngan", "sagan"))


@pytest.mark.parametrize("penalty", ["lecam", "cr", "bcr", "zcr_d"])
def test_penalties_on_logits_go_with_batch_norm(penalty):
    assert_traced(tiny("dcgan", **{f"penalty.{penalty}": 0.5, "model.discriminator.norm": "batch"}))


def test_hidden_labels_are_unknown_to_both_networks():
    """With all labels hidden, the labels of the batch do not matter."""
    config = tiny("sngan", **{"data.labels": True, "condition.kind": "projection", "condition.dropout": 1.0})
    gan, state, batch = started(config)
    step = jax.jit(gan.step)
    other = {**batch, "label": (batch["label"] + 1) % 3}
    a, b = (step(state, each, jax.random.key(1))[1] for each in (batch, other))
    assert float(a["d_loss"]) == float(b["d_loss"]) and float(a["g_loss"]) == float(b["g_loss"])


def test_warm_up_and_the_start_of_the_average():
    config = tiny(
        "dcgan", **{"optimizer.warmup_images": 40, "ema.start_images": 8, "ema.half_life_images": 1e9, "ema.ramp": 0.0}
    )
    state, metrics = stepped(config, 2)  # 4 images a step: the second step is the last before averaging begins
    np.testing.assert_allclose(metrics["g_lr"], config.optimizer.g_lr * 2 / 10, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, state.ema["generator"]["params"], params(state)["generator"])
    state, _ = stepped(config, 3)
    pairs = zip(*map(jax.tree.leaves, (state.ema["generator"]["params"], params(state)["generator"])), strict=True)
    assert any(bool((a != b).any()) for a, b in pairs)


@pytest.mark.parametrize(("latent", "square", "largest"), [("normal", 1, 6), ("uniform", 1 / 3, 1), ("sphere", 1, 6)])
def test_latents_have_the_distribution_of_the_config_in_training_and_sampling(latent, square, largest):
    config = tiny("dcgan", latent=latent, **{"model.z_dim": 40})
    gan, _, _ = shapes(config)
    z = np.asarray(gan.methods["sample"].inputs(jax.random.key(0), 2000)["z"])
    assert z.shape == (2000, 40) and np.abs(z).max() <= largest
    # The mean of 80,000 squares has a standard deviation of at most sqrt(2 / 80,000) = 0.005.
    assert (z**2).mean() == pytest.approx(square, abs=0.02) and z.mean() == pytest.approx(0, abs=0.02)
    lengths = np.linalg.norm(z, axis=1)
    assert (np.ptp(lengths) < 1e-4) == (latent == "sphere")
    states = [stepped(tiny("dcgan", latent=name, **{"model.z_dim": 40}))[0] for name in (latent, "normal")]
    moved = jax.tree.leaves(jax.tree.map(lambda x, y: jnp.abs(x - y).max(), *map(params, states)))
    assert (max(map(float, moved)) > 0) == (latent != "normal")
