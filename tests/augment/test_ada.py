"""ADA: each operation against its definition, how often it happens, its derivatives, the controller, and leaks."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from tiny import config_of, small

from ganjax import recipe
from ganjax.adversarial import from_noise
from ganjax.adversarial.image_keys import FAKE, REAL, use
from ganjax.augment import ada, corruption, geometry, tones
from ganjax.augment.draws import COLOUR, Draws
from ganjax.config.check import check
from ganjax.errors import UserError

SMOOTH = np.stack([*np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-0.5, 0.5, 8)), np.zeros((8, 12))], -1)


def images(count=4, height=8, width=12, channels=3):
    values = np.random.default_rng(0).uniform(-1, 1, (count, height, width, channels))
    return jnp.asarray(values, jnp.float32)


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_nothing_happens_at_probability_0(channels):
    x = images(channels=channels)
    np.testing.assert_array_equal(ada.policy("all")(keys(4), x, 0.0), x)
    np.testing.assert_allclose(
        ada.policy("all")(keys(4, seed=1), x, ada.LEAST), x, atol=1e-6
    )  # computed, but none is drawn


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blip", "'blip' is not one of bgc"),
        ("color*2", "share of p is a number from 0 to 1"),
        ("hue*x", "'hue.x': a share of p"),
    ],
)
def test_an_unknown_part_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        ada.policy(text)


def test_an_operation_may_have_a_share_of_p():
    x, counts = jnp.broadcast_to(images(1, 8, 8), (2000, 8, 8, 3)), {}
    expected = {"luma_flip*0.5": 0.2, "luma_flip": 0.4, "rotate*0.5": 0.4, "rotate*0": 0.0}  # half of the draws flip
    for text in expected:
        changed = np.asarray(ada.policy(text)(keys(2000), x, 0.8))
        counts[text] = np.mean(np.abs(changed - x).max((1, 2, 3)) > 1e-3)
    assert counts == pytest.approx(expected, abs=0.04)


def test_the_filters_are_orthogonal_and_the_bands_add_up_to_the_identity():
    for taps in (corruption.SYM2, geometry.SYM6):
        for shift in range(0, len(taps), 2):
            product = np.dot(taps[shift:], taps[: len(taps) - shift])
            np.testing.assert_allclose(product, float(shift == 0), atol=1e-9)
    total = corruption.FILTERS.sum(0)
    np.testing.assert_allclose(total, np.eye(len(total))[len(total) // 2], atol=1e-9)


def test_whole_shifts_move_pixels():
    x = images(1)[0]
    moved = geometry.resampled(x, geometry.translation(jnp.array([3.0, -2.0])))
    np.testing.assert_allclose(moved[:-2, 3:], x[2:, :-3], atol=1e-6)
    np.testing.assert_allclose(moved[:-2, 2], x[2:, 1], atol=0.02)  # mirrored, almost, at the outermost pixel


def test_a_rotation_turns_a_smooth_image_and_a_scaling_enlarges_it():
    x = jnp.asarray(SMOOTH, jnp.float32)  # red grows to the right, by 2 / 11 each pixel, green downwards by 1 / 7
    angle = 0.2
    turned = geometry.resampled(x, geometry.rotation(jnp.array(angle)))[3:5, 4:8, 0]
    steps = np.diff(turned, axis=1).mean(), np.diff(turned, axis=0).mean()
    np.testing.assert_allclose(steps, (2 / 11 * np.cos(angle), 2 / 11 * np.sin(angle)), rtol=0.02)
    larger = geometry.resampled(x, geometry.scaling(jnp.array(2.0), jnp.array(0.5)))[3:5, 4:8]
    np.testing.assert_allclose(np.diff(larger[..., 0], axis=1).mean(), 1 / 11, rtol=0.02)
    np.testing.assert_allclose(np.diff(larger[..., 1], axis=0).mean(), 2 / 7, rtol=0.1)


def test_turns_and_mirroring_move_whole_pixels():
    x = images(1, 8, 8)[0]
    drawn = ada.policy("quarter_turn,mirror")(keys(200), jnp.stack([x] * 200), 1.0)
    variants = [np.rot90(side, k) for side in (x, x[:, ::-1]) for k in range(4)]
    counts = [sum(np.array_equal(image, variant) for image in np.asarray(drawn)) for variant in variants]
    assert sum(counts) == 200
    assert min(counts) > 10
    oblong = images(1)[0]
    drawn = np.asarray(ada.policy("quarter_turn")(keys(50), jnp.stack([oblong] * 50), 1.0))
    half = np.rot90(oblong, 2)
    assert {np.array_equal(image, half) for image in drawn} == {True, False}
    assert all(np.array_equal(image, half) or np.array_equal(image, oblong) for image in drawn)


@pytest.mark.parametrize(
    ("name", "neutral"), [("shift", 1 / 6), ("rotate", 0), ("scale", 0), ("move", 0), ("brightness", 0), ("cutout", 0)]
)
def test_each_operation_happens_with_the_given_probability(name, neutral):
    """neutral: the share of draws that change nothing. The two rotations together happen with probability p."""
    x, count = images(1)[0], 2000
    changed = jax.jit(ada.policy(name))(keys(count), jnp.stack([x] * count), 0.3)
    share = np.mean(np.abs(np.asarray(changed) - np.asarray(x)).max((1, 2, 3)) > 1e-5)
    assert abs(share - 0.3 * (1 - neutral)) < 0.04


def test_colours_change_as_defined():
    draws = Draws(jax.random.key(3), 1.0, jnp.float32)
    for name in COLOUR:
        matrix, offset = (np.asarray(part) for part in tones.colour_map(draws, (name,)))
        grey, eye = np.full((3, 3), 1 / 3), np.eye(3)
        if name == "brightness":
            np.testing.assert_allclose(matrix, eye, atol=1e-6)
            assert np.ptp(offset) == 0 != offset[0]
        elif name == "hue":  # a rotation about grey
            np.testing.assert_allclose(matrix @ matrix.T, eye, atol=1e-6)
            np.testing.assert_allclose(np.linalg.det(matrix), 1, rtol=1e-5)
            np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3), atol=1e-6)
        elif name == "saturation":
            np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3), atol=1e-6)
            np.testing.assert_allclose(matrix - grey, matrix[0, 0] * 1.5 * (eye - grey) - 0.5 * (eye - grey), atol=1e-5)
        elif name == "contrast":
            np.testing.assert_allclose(matrix, matrix[0, 0] * eye, atol=1e-6)
        assert (offset == 0).all() or name == "brightness"
    flips = {float(tones.colour_map(Draws(key, 1.0, jnp.float32), ("luma_flip",))[0].sum()) for key in keys(20)}
    assert {round(flip, 4) for flip in flips} == {3.0, -3.0}


def test_alpha_stays_and_grey_images_change_in_brightness_and_contrast():
    x = images(channels=4)
    changed = ada.policy("color")(keys(4), x, 1.0)
    np.testing.assert_array_equal(changed[..., 3], x[..., 3])
    assert np.abs(changed[..., :3] - x[..., :3]).min((1, 2, 3)).max() > 1e-3
    grey = images(1, channels=1)[0]
    changed = np.asarray(ada.policy("hue,saturation")(keys(4), jnp.stack([grey] * 4), 1.0))
    np.testing.assert_allclose(changed, np.stack([grey] * 4), atol=1e-6)


def test_images_of_one_key_get_the_same_changes():
    x, key = images(2), jax.random.key(5)
    both = ada.policy("geometry,noise")(jnp.stack([key, key]), jnp.stack([x[0], x[0]]), 1.0)
    np.testing.assert_array_equal(both[0], both[1])


@pytest.mark.slow
def test_it_can_be_differentiated_twice(x64):
    augment, x = ada.policy("all"), jnp.asarray(images(2, 6, 6), jnp.float64)
    check_grads(lambda x: jnp.sum(jnp.tanh(augment(keys(2), x, 0.8)) ** 2), (x,), 2, ["rev"], atol=1e-3, rtol=1e-3)


def stepped(**more):
    config = small("dcgan", **{"loss.kind": "non_saturating", "diffaugment": "", "ada.policy": "paint", **more})
    gan = recipe.build(check(config))
    batch = {"image": jnp.zeros((8, 16, 16, 3)), "label": jnp.full(8, -1)}
    state = jax.jit(gan.init)(jax.random.key(0), batch)
    return state, jax.jit(gan.step)(state, batch, jax.random.key(1))


def test_p_follows_the_sign_of_the_logits_and_is_part_of_the_state():
    state, (after, metrics) = stepped(**{"ada.images": 16})
    assert float(state.extra["ada"]) == metrics["ada_p"] == 0
    expected = 8 / 16 if metrics["d_sign"] > 0.6 else 0
    assert float(after.extra["ada"]) == expected
    _, (after, _) = stepped(**{"ada.images": 1, "ada.target": 1e-9, "ada.p": 0.5, "loss.label_smoothing": 0.1})
    assert float(after.extra["ada"]) in (0.0, np.float32(0.8))


@pytest.mark.slow
def test_without_a_target_p_is_a_number_or_a_schedule():
    state, (_, metrics) = stepped(**{"ada.target": 0.0, "ada.p": 0.3})
    assert "ada" not in state.extra and metrics["ada_p"] == np.float32(0.3)


def test_a_loss_whose_logits_have_no_sign_cannot_steer_p():
    with pytest.raises(UserError, match="ada.target: the sign of a logit says nothing with the loss 'relativistic'"):
        stepped(**{"loss.kind": "relativistic"})


RISING = {"kind": "linear", "from": 0.0, "to": 0.8, "images": 32_000}


@pytest.mark.slow
@pytest.mark.parametrize(("p", "leaks"), [(RISING, False), (1.0, True)])
def test_turns_leak_only_if_every_image_is_turned(p, leaks):
    """Images are bright above and dark below. With p = 1 all four directions are equally likely: D cannot know which
    one is right. With p = 0.8 the right one is seen twice as often as each other one, which holds G, but does not turn
    it round: if p is 0.5 or more from the first step, G may settle on another direction. So p rises from 0.
    """
    more = {"ada.policy": "quarter_turn", "ada.p": p, "ada.target": 0.0, "diffaugment": "", "batch_size": 32}
    config = small("dcgan", **more, **{"loss.kind": "relativistic", "penalty.r1": 1.0, "penalty.every": 1})
    gan = recipe.build(check(config))
    slope = np.broadcast_to(np.linspace(0.8, -0.8, 16)[:, None, None], (16, 16, 3))
    noise = np.random.default_rng(0).normal(0, 0.05, (32, 16, 16, 3))
    batch = {"image": jnp.asarray(slope + noise, jnp.float32), "label": jnp.full(32, -1)}
    state, step = jax.jit(gan.init)(jax.random.key(0), batch), jax.jit(gan.step)
    for i in range(1500):
        state, _ = step(state, batch, jax.random.fold_in(jax.random.key(1), i))
    method = gan.methods["sample"]
    variables, key = {"generator": state.networks["generator"].variables}, jax.random.key(2)
    drawn = np.asarray(method.apply(variables, key, method.inputs(key, 256))["image"])
    upright = np.mean((drawn * slope).mean((1, 2, 3)) > 0.05)
    assert upright < 0.9 if leaks else upright > 0.95, upright


@pytest.mark.parametrize("paired", [False, True])
def test_a_pair_may_share_one_draw(paired):
    config = config_of("r3gan:debug")
    with config.ignore_type():
        config.ada.p = 1.0
    config.ada.policy, config.ada.paired = "bgc", paired
    judge = from_noise.Judge(check(config))
    image = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3), minval=-1)
    players = types.SimpleNamespace(images=jnp.zeros((), jnp.int32), extra={}, constants={})
    part = {"keys": jax.random.split(jax.random.key(1), 4), "image": image}
    views = [judge.see(players, image, keys, judge.draws(part, keys)) for keys in
             (use(part["keys"], which) for which in (REAL, FAKE))]  # fmt: skip
    assert bool(jnp.allclose(*views)) == paired
    assert float(jnp.abs(views[0] - image).max()) > 0.1
