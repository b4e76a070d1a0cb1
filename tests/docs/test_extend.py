"""docs/extend.md: its LSGAN is short, has the paper's losses, trains, and equals the built-in loss."""

import importlib

import jax
import numpy as np
import pytest
from docs_pages import PAGES, blocks

import ganjax.recipes
from ganjax import recipe, rng, task
from ganjax.config import file as config_file
from ganjax.inference.model import load
from ganjax.state import DOutput
from ganjax.training import update
from ganjax.training.loop import train

BLOCKS = {block.title: block.code for block in blocks(PAGES["docs/extend.md"]) if block.title}
RECIPE, CONFIG = "ganjax/recipes/lsgan.py", "configs/generate/lsgan.py"


@pytest.fixture
def lsgan(tmp_path, monkeypatch):
    """Save both files where ganjax finds them by name; return the recipe's module."""
    for title in (RECIPE, CONFIG):
        (tmp_path / title).parent.mkdir(parents=True)
        (tmp_path / title).write_text(BLOCKS[title])
    own = str(tmp_path / "ganjax" / "recipes")
    monkeypatch.setattr(ganjax.recipes, "__path__", [*ganjax.recipes.__path__, own])
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    return importlib.import_module("ganjax.recipes.lsgan")


def test_it_is_short():
    assert len(BLOCKS[RECIPE].splitlines()) + len(BLOCKS[CONFIG].splitlines()) <= 45


def test_its_losses_are_those_of_the_paper(lsgan):
    # Equation 9 with a = 0 and b = c = 1. D: 1/2 E(D(x) - b)^2 + 1/2 E(D(G(z)) - a)^2; G: 1/2 E(D(G(z)) - c)^2.
    real, fake = np.random.default_rng(0).normal(0.3, 2, (2, 64)).astype(np.float32)
    d = sum((x - 1) ** 2 for x in real.tolist()) / 128 + sum(x**2 for x in fake.tolist()) / 128
    g = sum((x - 1) ** 2 for x in fake.tolist()) / 128
    np.testing.assert_allclose(lsgan.d_objective(real, fake), d, rtol=1e-6)
    np.testing.assert_allclose(lsgan.g_objective(fake), g, rtol=1e-6)
    assert float(lsgan.d_objective(np.ones(3), np.zeros(3))) == float(lsgan.g_objective(np.ones(3))) == 0


def test_it_trains_loads_and_samples(lsgan, paintings, tmp_path):
    flags = [f"--config.data.path={paintings}", "--config.total_images=40", "--config.report.tensorboard=false"]
    state = train(config_file.load_file("lsgan:debug", flags), tmp_path / "run")
    assert int(state.step) == 5
    assert load(tmp_path / "run").sample(2).shape == (2, 32, 32, 3)


def test_its_step_is_that_of_the_built_in_loss(lsgan):
    flags = ["--config.loss.kind=least_squares", "--config.batch_size=2", "--config.data.resolution=8"]
    image = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    batch = {"image": image, "label": np.full(2, -1, np.int32)}
    configs = [config_file.load_file(name, flags) for name in ("lsgan:debug", "dcgan32:debug")]
    own, built_in = [recipe.build(config) for config in configs]
    state = jax.jit(update.initialise(configs[0], task.of(configs[0]), own))()
    results = [jax.jit(gan.step)(state, batch, rng.key(0, "train")) for gan in (own, built_in)]
    assert results[0][1].keys() == results[1][1].keys() and float(results[0][1]["d_loss"]) > 0
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_array_equal(a, b)


def test_its_network_keeps_the_contract_and_fits(lsgan, monkeypatch):
    names = {}
    exec(BLOCKS["a network"], names)
    monkeypatch.setattr(lsgan.dcgan, "Discriminator", lambda width, **dtypes: names["Discriminator"](width))
    config = config_file.load_file("lsgan:debug", [])
    own, gan = task.of(config), recipe.build(config)
    state = jax.eval_shape(update.initialise(config, own, gan))
    after, terms = jax.eval_shape(gan.step, state, own.spec(config, gan.parts), rng.key(0, "train"))
    assert jax.tree.structure(after) == jax.tree.structure(state) and terms["d_loss"].shape == ()
    net = names["Discriminator"](8)
    out = net.init_with_output(jax.random.key(0), np.zeros((3, 32, 32, 3), np.float32), train=True)[0]
    assert isinstance(out, DOutput) and out.logits[0].shape == (3,) and out.features[-1].shape[0] == 3
