import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import replaced

from ganjax import recipe
from ganjax.configs.generate import dcgan as dcgan_config
from ganjax.state import State

FIXTURE = Path(__file__).parents[1] / "fixtures" / "dcgan.npz"


def small_config(**loss):
    config = dcgan_config.get_config("debug")
    config.batch_size = 6
    config.model.z_dim = 16
    config.loss.update(loss)
    return config


def load_torch(peer, prefix: str) -> dict:
    """Map PyTorch's tensors to our parameters: NCHW to NHWC; a transposed kernel is also flipped in space."""

    def transposed(w):
        return w.transpose(2, 3, 0, 1)[::-1, ::-1]

    def conv(w):
        return w.transpose(2, 3, 1, 0)

    if prefix[0] == "g":
        kernels = {"stem": peer[f"{prefix}.0.weight"].transpose(0, 2, 3, 1).reshape(16, -1)}
        kernels |= {"up_1": transposed(peer[f"{prefix}.3.weight"]), "up_2": transposed(peer[f"{prefix}.6.weight"])}
        kernels["head"] = transposed(peer[f"{prefix}.9.weight"])
        norms = {"norm_0": 1, "norm_1": 4, "norm_2": 7}
    else:
        kernels = {f"down_{i}": conv(peer[f"{prefix}.{j}.weight"]) for i, j in enumerate((0, 2, 5))}
        kernels["head"] = peer[f"{prefix}.8.weight"].transpose(2, 3, 1, 0).reshape(-1, 1)
        norms = {"norm_1": 3, "norm_2": 6}
    params = {name: {"kernel": jnp.asarray(kernel)} for name, kernel in kernels.items()}
    for name, i in norms.items():
        params[name] = {
            "scale": jnp.asarray(peer[f"{prefix}.{i}.weight"]),
            "bias": jnp.asarray(peer[f"{prefix}.{i}.bias"]),
        }
    return params


def test_one_step_equals_pytorch(monkeypatch):
    peer = np.load(FIXTURE)
    z = jnp.asarray(peer["z"][:, :, 0, 0])
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype=None: z)
    gan = recipe.build(small_config(label_smoothing=0.1))
    batch = {"image": jnp.asarray(peer["real"].transpose(0, 2, 3, 1)), "label": jnp.full(6, -1)}
    with monkeypatch.context() as init_time:
        init_time.undo()
        state = jax.jit(gan.init)(jax.random.key(0), batch)
    for name in ("generator", "discriminator"):
        state = replaced(state, name, params=load_torch(peer, name[0]))
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype=None: z)
    after, metrics = jax.jit(gan.step)(state, batch, jax.random.key(1))
    for name in ("d_loss", "g_loss", "d_real", "d_fake"):
        np.testing.assert_allclose(metrics[name], peer[name], rtol=1e-4, err_msg=name)
    for name, network in after.networks.items():
        ours = jax.tree.map(lambda mu: mu / 0.5, network.opt_state[0].mu)  # Adam's first moment is (1 - b1) grad
        theirs = load_torch(peer, f"{name[0]}_grad")
        largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(theirs))
        near = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-4 * largest)
        jax.tree.map(near, ours, theirs)


def one_step(config):
    gan = recipe.build(config)
    batch = {"image": jnp.linspace(-1, 1, 8 * 32 * 32 * 3).reshape(8, 32, 32, 3), "label": jnp.full(8, -1)}
    state = jax.jit(gan.init)(jax.random.key(0), batch)
    return jax.jit(gan.step)(state, batch, jax.random.key(1))


def test_each_network_takes_one_update_and_the_average_follows():
    state, metrics = one_step(dcgan_config.get_config("debug"))
    assert isinstance(state, State)
    g, d = state.networks["generator"], state.networks["discriminator"]
    assert (int(state.step), int(g.step), int(d.step)) == (1, 1, 1)
    # At first the ramp limits the half-life to 0.05 * 8 images: beta = 0.5^(8 / 0.4) = 2^-20.
    for ema, now in zip(*map(jax.tree.leaves, (state.ema["generator"]["params"], g.params)), strict=True):
        np.testing.assert_allclose(ema, now, atol=1e-6)
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("loss", [{"instance_noise": 0.2}, {"label_smoothing": 0.1}])
def test_options_of_the_loss_change_it(loss):
    plain, config = dcgan_config.get_config("debug"), dcgan_config.get_config("debug")
    config.loss.update(loss)
    assert abs(float(one_step(plain)[1]["d_loss"] - one_step(config)[1]["d_loss"])) > 1e-4


def test_clipping_bounds_the_first_update():
    config = dcgan_config.get_config("debug")
    config.optimizer.clip_norm = 1e-3
    state, metrics = one_step(config)
    assert metrics["d_grad_norm"] > 1e-3
    clipped = state.networks["discriminator"].opt_state[1][0].mu
    norm = float(jnp.sqrt(sum(jnp.sum((m / 0.5) ** 2) for m in jax.tree.leaves(clipped))))
    assert norm == pytest.approx(1e-3, rel=1e-4)


def test_samples_depend_on_the_key_alone():
    config = dcgan_config.get_config("debug")
    gan = recipe.build(config)
    state, _ = one_step(config)
    method = gan.methods["sample"]
    variables = state.variables(method.networks)
    images, again = (
        method.apply(variables, jax.random.key(seed), method.inputs(jax.random.key(3), 5))["image"] for seed in (0, 9)
    )
    assert images.shape == (5, 32, 32, 3)
    np.testing.assert_array_equal(images, again)
    assert np.abs(images).max() <= 1
