"""What the README says is true."""

import re
from pathlib import Path

import pytest

import ganjax.recipes
from ganjax.configs.generate import dcgan
from ganjax.configs.restore import restore
from ganjax.inference.model import load
from ganjax.training.loop import train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_gan_in_one_file_trains_and_samples(tmp_path, monkeypatch, paintings):
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.S) if block.startswith('"""Least'))
    assert len(code.splitlines()) < 80
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "lsgan.py").write_text(code)
    monkeypatch.setattr(ganjax.recipes, "__path__", [*ganjax.recipes.__path__, str(tmp_path / "recipes")])
    config = dcgan.get_config("debug")
    config.recipe, config.data.path, config.total_images = "lsgan", str(paintings), 40
    state = train(config, tmp_path / "run")
    assert int(state.step) == 5
    assert load(tmp_path / "run").sample(2).shape == (2, 32, 32, 3)


def test_the_least_squares_losses_of_the_example_are_the_papers():
    # D: 1/2 E(D(x) - 1)^2 + 1/2 E D(G(z))^2; G: 1/2 E(D(G(z)) - 1)^2 (equation 9 with a = 0, b = c = 1)
    assert "jnp.mean((real_logits - 1) ** 2) + jnp.mean(fake_logits**2)" in README
    assert "jnp.mean((judge(d.params, d.mutable, x)[0] - 1) ** 2) / 2" in README


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"--config\.([\w.]+)=", README))))
def test_every_flag_is_a_key(flag):
    from ganjax.config.derived import flatten

    assert flag in {**flatten(dcgan.get_config()), **flatten(restore.get_config())}


def test_pictures_and_files_are_there_and_small():
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / name).stat().st_size < 400_000
    later = {"configs/x.py", "configs/lsgan.py", "ganjax/recipes/lsgan.py"}
    for name in set(re.findall(r"(?:configs|benchmarks|tests|ganjax)/[\w/]+\.\w+", README)) - later:
        assert (ROOT / name).exists(), name
