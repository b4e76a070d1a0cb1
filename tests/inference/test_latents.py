"""Latent codes: drawn as samples are, truncated, between, mixed, moved, and found again from their images."""

import types

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from tiny import small

import ganjax
from ganjax import recipe
from ganjax.config.check import check
from ganjax.config.derived import size
from ganjax.errors import UserError
from ganjax.inference import directions, latents, projection
from ganjax.inference.latents import Codes, Direction, Space


@pytest.fixture(scope="module")
def styled(styled_run):
    return ganjax.load(styled_run)


@pytest.fixture(scope="module")
def plain(plain_run):
    return ganjax.load(plain_run)


@pytest.mark.parametrize("name", ["styled", "plain"])
def test_codes_give_the_images_of_sample(name, request):
    model = request.getfixturevalue(name)
    space = Space(model)
    assert space.styled == (name == "styled")
    images = space.render(space.draw(5, seed=3))
    np.testing.assert_allclose(images, model.sample(5, seed=3), atol=1e-5)
    assert images.shape == (5, 16, 16, 3) and np.std(images, 0).max() > 1e-4


def test_a_class_can_be_asked_for(plain):
    space = Space(plain)
    drawn = space.draw(4, label="ukiyo_*")
    assert set(drawn.label[:, 0]) == {plain.labels.parse("ukiyo_*")[0]}
    np.testing.assert_allclose(space.render(drawn), plain.sample(4, label="ukiyo_*"), atol=1e-5)
    with pytest.raises(UserError, match="cubism"):
        space.draw(1, label="cubism_*")


def test_truncation_ends_at_the_mean(styled):
    space = Space(styled)
    codes, mean = space.draw(4), space.mean()
    np.testing.assert_allclose(mean, space.draw(20_000, seed=5).values.mean(0), atol=0.05)
    np.testing.assert_allclose(latents.truncated(codes, 1.0, mean).values, codes.values, atol=1e-5)
    np.testing.assert_allclose(latents.truncated(codes, 0.0, mean).values, np.stack([mean] * 4), atol=1e-5)
    half = np.ptp(latents.truncated(codes, 0.5, mean).values, 0)
    np.testing.assert_allclose(half, np.ptp(codes.values, 0) / 2, atol=1e-5)


def test_truncation_of_a_class_ends_at_the_mean_of_the_class(styled):
    label = styled.labels.classes[1]
    ends = Space(styled, psi=0.0).draw(2, label=label)
    own, every = Space(styled).mean(label), Space(styled).mean()
    np.testing.assert_allclose(ends.values, np.stack([own] * 2), atol=1e-6)
    assert np.abs(own - every).max() > 1e-3


def test_a_generator_that_rescales_its_latent_does_not_see_its_length(plain, monkeypatch):
    space = Space(plain)
    assert space.sees_length()
    images = space.render

    def of_directions(codes):
        return images(codes.at(codes.values / np.linalg.norm(codes.values, axis=-1, keepdims=True)))

    monkeypatch.setattr(space, "render", of_directions)
    assert not space.sees_length()


def test_a_path_is_closed_and_keeps_the_length_of_z(plain):
    space = Space(plain)
    codes = space.draw(3)
    path = space.between(codes, 4)
    assert len(path) == 12
    np.testing.assert_allclose(path.values[::4], codes.values, atol=1e-6)
    lengths, ends = np.linalg.norm(path.values[:, 0], axis=1), np.linalg.norm(codes.values[:, 0], axis=1)
    assert ends.min() - 1e-5 <= lengths.min() and lengths.max() <= ends.max() + 1e-5
    units = path.values[:, 0] / lengths[:, None]
    angles = np.arccos(np.sum(units * np.roll(units, -1, 0), 1))
    for start in (0, 4, 8):  # even steps on each arc, the last one back to the first code
        np.testing.assert_allclose(angles[start : start + 4], angles[start], rtol=1e-3)
    np.testing.assert_allclose(path.label.sum(1), 2, atol=1e-6)  # two attributes, a soft label on the way
    assert space.render(path).shape == (12, 16, 16, 3)


def test_arcs_and_lines():
    a, b = np.array([[2.0, 0.0]]), np.array([[0.0, 4.0]])
    np.testing.assert_allclose(latents.slerp(a, b, 0.5), 3 * np.sqrt([[0.5, 0.5]]))
    np.testing.assert_allclose(latents.slerp(a, 2 * a, 0.5), [[3.0, 0.0]])
    np.testing.assert_allclose(latents.slerp(a, 0 * a, 0.5), [[1.0, 0.0]])
    np.testing.assert_allclose(latents.lerp(a, b, 0.25), [[1.5, 1.0]])


def test_mixtures_take_their_last_layers_from_the_second(styled, plain):
    space = Space(styled)
    codes = space.draw(5)
    mixed = space.mixed(codes[:2], codes[2:], 2)
    assert len(mixed) == 6
    np.testing.assert_array_equal(mixed.values[4, :2], codes.values[1, :2])
    np.testing.assert_array_equal(mixed.values[4, 2:], codes.values[3, 2:])
    with pytest.raises(UserError, match="sngan gives all its layers one latent"):
        Space(plain).mixed(codes, codes, 1)


def test_a_move_is_by_deviations_and_in_its_layers(styled):
    space = Space(styled)
    codes = space.draw(2)
    vector = np.eye(space.size, dtype=np.float32)[1]
    moved = latents.moved(codes, Direction("a", vector, 0.5, (1, 3)), -2.0)
    change = moved.values - codes.values
    np.testing.assert_allclose(change[:, 1:3, 1], -1.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(change).sum(), 2 * 2 * 1.0, rtol=1e-5)


def test_principal_directions_are_those_in_which_codes_vary_most(styled, plain, monkeypatch):
    space = Space(styled)
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((space.size, space.size)))[0]
    spreads = 3.0 ** -np.arange(space.size)
    drawn = np.random.default_rng(1).standard_normal((4_000, space.size)) * spreads @ axes.T + 7
    monkeypatch.setattr(Space, "draw", lambda *args: Codes(np.repeat(drawn[:, None], space.layers, 1)))
    found = directions.principal(space, 3)
    assert [direction.name for direction in found] == ["pca0", "pca1", "pca2"]
    for i, direction in enumerate(found):
        assert abs(direction.vector @ axes[:, i]) > 0.99
        np.testing.assert_allclose(direction.deviation, spreads[i], rtol=0.05)
        assert direction.layers == (0, space.layers)
    with pytest.raises(UserError, match="sngan vary equally in all directions: set --by=weights"):
        directions.principal(Space(plain))


def test_directions_of_weights_are_amplified_most(plain, styled):
    space = Space(plain)
    kernels = [leaf for path, leaf in flatten_dict(plain.variables["generator"]["params"]).items()
               if path[-2:] == ("project", "kernel")]  # fmt: skip
    gains = [np.linalg.norm(direction.vector @ np.asarray(kernels[0])) for direction in directions.of_weights(space, 4)]
    assert len(kernels) == 1 and gains == sorted(gains, reverse=True)
    np.testing.assert_allclose(gains, np.linalg.svd(np.asarray(kernels[0]), compute_uv=False)[:4], rtol=1e-4)


def test_a_deviation_is_that_of_codes_along_the_direction(styled, monkeypatch):
    """Components of w that vary together vary more along their sum than each of them."""
    space = Space(styled)
    drawn = np.random.default_rng(1).standard_normal((4_000, 1, 1)) + np.zeros((space.layers, space.size))
    monkeypatch.setattr(Space, "draw", lambda *args: Codes(drawn))
    for direction in directions.of_weights(space, 3):
        np.testing.assert_allclose(direction.deviation, abs(direction.vector.sum()), rtol=0.05)


@pytest.mark.parametrize("name", ["biggan", "dcgan", "fastgan", "r3gan", "r3gan2", "wgan_gp"])
def test_the_first_layer_of_each_generator_is_known(name):
    config = check(small(name))
    gan = recipe.build(config)
    batch = {"image": np.zeros((config.batch_size * gan.parts, *size(config), 3), np.float32)}
    batch["label"] = np.zeros(len(batch["image"]), np.int32)
    generator = jax.jit(gan.init)(jax.random.key(0), batch).networks["generator"]
    model = {"methods": gan.methods, "config": config, "variables": {"generator": generator.variables}, "labels": None}
    found = directions.of_weights(Space(types.SimpleNamespace(**model)), 2)
    np.testing.assert_allclose([np.linalg.norm(direction.vector) for direction in found], 1, rtol=1e-5)
    if name == "biggan":  # its first layer sees the first part of z
        (first,) = [leaf for path, leaf in flatten_dict(generator.params).items() if path[-2:] == ("project", "kernel")]
        assert (
            np.abs([direction.vector[len(first) :] for direction in found]).max()
            < 1e-6
            < len(first)
            < config.model.z_dim
        )


def test_a_run_that_translates_has_no_codes():
    model = types.SimpleNamespace(methods={"translate_ab": None}, config=types.SimpleNamespace(recipe="cyclegan"))
    with pytest.raises(UserError, match="cyclegan"):
        Space(model)


@pytest.mark.slow
@pytest.mark.parametrize("plus", [False, True])
def test_the_code_of_a_sample_is_found_again(styled, plus):
    space = Space(styled)
    inputs = {"codes": space.draw(1, seed=9).values}
    target = space.synthesize.apply(styled.variables, jax.random.key(0), inputs)["image"][
        0
    ]  # an untrained network's images are far beyond [-1, 1]
    found = projection.Projector(space, steps=60, plus=plus, rate=0.1)(target)
    assert found.image.shape == target.shape and found.way.shape == (11, 16, 16, 3)
    assert found.distances[-1] < 0.1 * found.distances[0]
    tied = np.ptp(found.code.values, 1).max() == 0
    assert tied == (not plus)
    np.testing.assert_allclose(space.render(found.code)[0], found.image, atol=1e-5)


@pytest.mark.slow
def test_the_nearest_of_many_samples_is_the_start(plain):
    space = Space(plain)
    codes = space.draw(40)
    target = space.render(codes[39:])[0]
    found = projection.Projector(space, steps=1, rate=1e-9)(target, starts=1)
    np.testing.assert_allclose(found.code.values, codes.values[39:], atol=1e-6)
    np.testing.assert_array_equal(found.code.label, codes.label[39:])
    assert found.distances.max() < 1e-6
