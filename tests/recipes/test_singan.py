"""SinGAN: a step of one scale equals PyTorch's (make_singan.py); scales train in turn; samples have any size."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from PIL import Image
from running import launch
from tiny import config_of, replaced

import ganjax
from ganjax import recipe
from ganjax.config.check import check
from ganjax.errors import UserError
from ganjax.losses import penalties
from ganjax.nets import singan as nets
from ganjax.recipes import singan
from ganjax.tasks import single
from ganjax.training.loop import train

FIXTURES = Path(__file__).parents[1] / "fixtures"
TWO = {"data.resolution": 16, "data.width": 20, "model.smallest": 12}  # scales of 12x15 and 16x20 pixels


def config(**changes):
    made = config_of("singan:debug")
    made.update_from_flattened_dict({"report.tensorboard": False, **changes})
    return made


def started(made, image=None):
    gan = recipe.build(check(made))
    shape = (made.batch_size, made.data.resolution, made.data.width or made.data.resolution, 3)
    batch = {"image": jnp.zeros(shape) if image is None else jnp.broadcast_to(image, shape)}
    return gan, jax.jit(gan.init)(jax.random.key(0), batch), batch


def test_a_step_of_one_scale_equals_pytorch(monkeypatch, x64):
    peer = dict(np.load(FIXTURES / "recipe_singan.npz"))
    made = config(**{"data.resolution": 14, "data.width": 16, "model.smallest": 14, "precision": "float64"})
    made.model.generator.width = made.model.discriminator.width = 3
    made.optimizer.b1, made.optimizer.d_lr = 0.0, 0.0  # Adam's mean is the gradient, and G meets D as it was
    gan, state, batch = started(made, jnp.asarray(peer["real"]))
    for side in ("generator", "discriminator"):
        own = {key.removeprefix(f"{side}/"): peer[key] for key in peer if key.startswith(f"{side}/")}
        own = {tuple(key.split("/")): jnp.asarray(value, jnp.float64) for key, value in own.items()}
        params = {"body": unflatten_dict(own)}
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, state.networks[f"{side}_0"].params)
        state = replaced(state, f"{side}_0", params=params)
    state = state.replace(extra={"fixed_noise": jnp.asarray(peer["fixed"])})
    monkeypatch.setattr(singan, "UPDATES", 1)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype: jnp.asarray(peer["noise"]))
    monkeypatch.setattr(penalties, "between", lambda real, fake, key: fake + 0.3 * (real - fake))
    after, terms = jax.jit(gan.step)(state, batch, jax.random.key(1))
    for term in ("d_loss", "g_loss", "penalty_wgan_gp", "reconstruction"):
        np.testing.assert_allclose(terms[term], peer[term], rtol=1e-6, err_msg=term)
    for side in ("generator", "discriminator"):
        gradients = flatten_dict(after.networks[f"{side}_0"].opt_state[0].mu["body"], sep="/")
        largest = max(np.abs(peer[key]).max() for key in peer if key.startswith(f"{side}_grad/"))
        for layer, gradient in gradients.items():
            wanted = peer[f"{side}_grad/{layer}"]
            np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-6 * largest, err_msg=layer)


@pytest.mark.parametrize(
    ("size", "count", "coarsest"), [((250, 250), 10, (25, 25)), ((128, 160), 7, (25, 31)), ((25, 40), 1, (25, 40))]
)
def test_the_pyramid_goes_from_25_pixels_to_the_picture(size, count, coarsest):
    shares = nets.pyramid(size, 25, 0.75)
    sizes = [nets.scaled(size, share) for share in shares]
    assert len(shares) == count and sizes[0] == coarsest and sizes[-1] == size
    ratios = [a / b for a, b in zip(shares, shares[1:], strict=False)]
    np.testing.assert_allclose(ratios, ratios[:1] * len(ratios))
    assert all(0.75 <= ratio < 0.8 for ratio in ratios)


def test_features_double_every_four_scales_to_128():
    assert [nets.features(32, n) for n in range(13)] == [32] * 4 + [64] * 4 + [128] * 5


def test_scales_train_in_turn_each_from_the_one_before():
    made = config(total_images=4, **TWO)  # two steps for each scale
    made.optimizer.g_lr = 0.0
    picture = jax.random.uniform(jax.random.key(3), (16, 20, 3), minval=-1)
    gan, state, batch = started(made, picture)
    sample, step = gan.methods["sample"], jax.jit(gan.step)
    inputs = sample.inputs(jax.random.key(4), 2)

    def samples(state):
        return sample.apply(state.variables(sample.networks), jax.random.key(0), inputs)["image"]

    assert [noise.shape for noise in inputs.values()] == [(2, 12, 15, 1), (2, 16, 20, 3)]
    np.testing.assert_array_equal(samples(state), 0)  # no scale has begun
    stages = [state]
    for i in range(4):
        state, terms = step(state, batch, jax.random.key(i))
        assert terms["scale"] == (0, 0, 1, 1)[i]
        stages.append(state)
    coarse = samples(stages[2])
    assert jnp.std(coarse) > 0.01
    enlarged = singan.resized(coarse_only(gan, stages[2], inputs), (16, 20))
    np.testing.assert_allclose(coarse, jnp.clip(enlarged, -1, 1), atol=1e-5)  # the second scale adds nothing yet
    for name in ("generator_1", "discriminator_1"):
        jax.tree.map(np.testing.assert_array_equal, stages[2].networks[name], stages[0].networks[name])
        jax.tree.map(np.testing.assert_array_equal, stages[4].networks[name.replace("1", "0")],
                     stages[2].networks[name.replace("1", "0")])  # fmt: skip
    new, old = (stages[3].networks[f"generator_{n}"].params for n in (1, 0))  # the rate is 0: still as it began
    jax.tree.map(np.testing.assert_array_equal, new, old)
    first = jax.tree.leaves(stages[0].networks["generator_1"].params)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(new), first, strict=True))
    again = coarse_only(gan, stages[2], {"noise_0": state.extra["fixed_noise"]})
    error = jnp.sqrt(jnp.mean((singan.resized(again, (16, 20)) - picture) ** 2))
    np.testing.assert_allclose(stages[4].networks["generator_1"].mutable["noise"]["std"], 0.1 * error, rtol=1e-5)


def coarse_only(gan, state, inputs):
    """Return the coarsest scale's images."""
    noise = inputs["noise_0"]
    net = state.networks["generator_0"]
    return net.apply_fn(net.variables, jnp.zeros((*noise.shape[:3], 3)), noise)


@pytest.mark.slow
def test_it_learns_to_reproduce_the_picture_and_varies_it(tmp_path):
    picture = np.zeros((14, 18, 3), np.uint8)
    picture[:7], picture[7:, :9] = (200, 120, 40), (20, 60, 160)
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    made = config(total_images=300, **{"data.path": str(path), "data.resolution": 14, "model.smallest": 14})
    made.model.generator.width = made.model.discriminator.width = 8
    made.optimizer.g_lr, made.loss.reconstruction = 2e-3, 100.0
    state = train(made, tmp_path / "run")
    net, real = state.networks["generator_0"], jnp.asarray(picture)[None] / 127.5 - 1
    rebuilt = net.apply_fn(net.variables, jnp.zeros(real.shape), state.extra["fixed_noise"])
    assert float(jnp.sqrt(jnp.mean((rebuilt - real) ** 2))) < 0.25 * float(jnp.std(real))
    model = ganjax.load(tmp_path / "run")
    assert model.config.data.width == 18  # as the picture
    images = model.sample(4, seed=1)
    assert images.shape == (4, 14, 18, 3) and np.abs(images).max() <= 1
    assert np.std(images, 0).mean() > 0.02
    large = model.sample(2, seed=1, size=(20, 31))
    assert large.shape == (2, 20, 31, 3)
    np.testing.assert_array_equal(model.sample(1, seed=1, size=(20, 31)), large[:1])
    resumed = train(made.copy_and_resolve_references(), tmp_path / "run")  # data.width = 0 still fits
    assert int(resumed.step) == 300


def test_metrics_compare_windows():
    images = np.arange(2 * 8 * 12, dtype=np.uint8).reshape(2, 8, 12, 1)
    cut = single.windows(images, 3)
    assert cut.shape == (18, 4, 4, 1)
    np.testing.assert_array_equal(cut[[0, 8, 9]], [images[0, :4, :4], images[0, 4:, 8:], images[1, :4, :4]])


@pytest.mark.slow
def test_the_command_takes_a_size_where_the_generator_does(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    train(config(total_images=2, metrics=("rand_fd",), metrics_images=30, **TWO), run)
    assert "rand_fd" in (run / "metrics.jsonl").read_text()
    done = launch("sample", f"--workdir={run}", "--num=2", "--size=21x40", f"--out={out}")
    assert done.returncode == 0, done.stdout
    assert [Image.open(path).size for path in sorted(out.iterdir())] == [(40, 21)] * 2
    done = launch("sample", f"--workdir={run}", "--num=2", "--size=22x40", f"--out={out}")
    assert done.returncode == 1 and "exists already" in done.stdout  # another size is another image
    for wrong in ("40", "0x40", "axb", "99999x2"):
        done = launch("sample", f"--workdir={run}", f"--size={wrong}", f"--out={out}")
        assert done.returncode == 2 and len(done.stdout.strip().splitlines()) == 1, done.stdout


def test_what_is_not_one_whole_picture_is_refused(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(2):
        Image.new("RGB", (20, 16), (i, 0, 0)).save(pictures / f"{i}.png")
    wrong = {
        "there are 2: give the file": {"data.path": str(pictures)},
        "config.data.windows": {"data.windows": 64},
        "config.data.labels": {"data.labels": True},
        "config.augment.flip": {"augment.flip": True},
        "config.augment.rotate": {"augment.rotate": 5.0},
        "smaller than the coarsest scale, 25 pixels": {"data.resolution": 16},
    }
    for message, changes in wrong.items():
        with pytest.raises(UserError, match=message):
            train(config(**changes), tmp_path / "run")
    branched = config(**{"branch.workdir": str(tmp_path)})
    with pytest.raises(UserError, match="cannot be branched"):
        recipe.build(check(branched))
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").glob("checkpoints/*"))


def test_a_run_of_one_size_refuses_another(tmp_path):
    made = config_of("dcgan:debug")
    made.update_from_flattened_dict({"total_images": 8, "data.resolution": 16, "data.atelier.num_images": 8})
    train(made, tmp_path / "run")
    with pytest.raises(UserError, match="one size only"):
        ganjax.load(tmp_path / "run").sample(1, size=(20, 20))
