"""FastGAN (Liu et al. 2021, arXiv 2101.04775): small nets for few images; D must also reconstruct what it sees.

D judges images at two sizes. Decoders reconstruct real images, and one quadrant of each, from D's features, so that
these describe the whole image: measured by a perceptual distance. As published: hinge loss with margins U(0.8, 1), no
penalty, batches of 8, Adam 2e-4 (0.5, 0.999), DiffAugment's colour and translation. Here the small real images are
means of pixels, where the published code takes every second pixel, and both of G's outputs end in a tanh.
"""

import functools

import jax
import jax.numpy as jnp

from ganjax.adversarial import from_noise
from ganjax.adversarial.conditions import conditioned, sizes_of
from ganjax.adversarial.image_keys import FAKE, MARGIN, QUADRANT, REAL, use
from ganjax.config.derived import dtypes, net_dtypes, size
from ganjax.config.groups import completed
from ganjax.losses.logits import adversarial
from ganjax.nets import fastgan
from ganjax.nets.pretrained import lite0, lpips, weights
from ganjax.ops import resample
from ganjax.ops.alpha import on_board
from ganjax.recipe import Recipe

LEAST = 64  # pixels of the shorter side of images whose features are compared


def build(config) -> Recipe:
    """Build the recipe from `configs/generate/fastgan.py`."""
    config = completed(config)
    g, channels, kinds = config.model.generator, config.data.channels, net_dtypes(config)
    sizes = sizes_of(config)
    generator = fastgan.Generator(size(config), g.width, channels, g.blocks, small=True, sizes=sizes, **kinds)
    discriminator = conditioned(config, fastgan.Discriminator(config.model.discriminator.width, **kinds), "spectral")
    loss = adversarial(config.loss.kind, config.loss.label_smoothing)  # hinge

    @functools.cache
    def frozen():
        if not config.loss.reconstruction:
            return {}
        load = {"lite0": lambda: lite0.variables(weights.load("lite0").arrays), "lpips_vgg": lambda: lpips.load("vgg")}
        perceptual = load[config.loss.perceptual]()
        return jax.tree.map(lambda leaf: leaf.astype(dtypes(config.precision)[1]), {"perceptual": perceptual})

    def see(constants, images, images_seen, small):
        return images, shrunk(images) if small is None else small

    def shrunk(images):
        return resample.average_pool(images, images.shape[1] // fastgan.small_size(images.shape[1:3])[0])

    def distance(constants, a, b):
        a, b = on_board(a), on_board(b)
        if (least := LEAST / min(a.shape[1:3])) > 1:
            a, b = (resample.resize(x, tuple(round(least * side) for side in x.shape[1:3])) for x in (a, b))
        if config.loss.perceptual == "lpips_vgg":
            return lpips.distance(constants["perceptual"], a, b, "vgg")
        return lite0.distance(constants["perceptual"], a, b)

    def reconstruction_loss(constants, image, small, quadrant, rebuilt):
        part = fastgan.quadrants(image, quadrant)
        part = resample.average_pool(part, part.shape[1] // small.shape[1])
        targets = {"image": small, "small": small, "quadrant": part}
        a, b = (jnp.concatenate([images[name] for name in targets]) for images in (rebuilt, targets))
        return len(targets) * distance(constants, a, jax.lax.stop_gradient(b)).mean()

    judge = from_noise.Judge(config, from_noise.Eyes(frozen, see))

    def margins(keys, logits):
        draw = jax.vmap(lambda key: jax.random.uniform(key, logits.shape[1:], logits.dtype))
        return config.loss.margin_noise * draw(use(keys, MARGIN))

    def d_loss(players, part, fakes):
        keys = use(part["keys"], REAL)
        image, small = judge.see(players, part["image"], keys, judge.draws(part, keys))
        quadrant = jax.vmap(lambda key: jax.random.randint(key, (), 0, 4))(use(keys, QUADRANT))
        real = judge.output(players, part, (image, small), keys, quadrant=quadrant)
        fake = judge.fake(players, part, fakes)
        lowered = margins(keys, real.logits[0]), margins(use(part["keys"], FAKE), fake.logits[0])
        total, terms = judge.d_total(
            loss.d((real.logits[0] + lowered[0],), (fake.logits[0] - lowered[1],)), real, fake, part
        )
        if config.loss.reconstruction:
            terms["d_reconstruction"] = reconstruction_loss(players.constants, image, small, quadrant, real.aux)
            total += config.loss.reconstruction * terms["d_reconstruction"]
        return total, terms

    def g_loss(players, part, fakes):
        real, fake = judge.real_if_paired(players, part), judge.fake(players, part, fakes)
        return judge.g_total(loss.g(real.logits, fake.logits), real, fake, part)

    return from_noise.build(config, generator, discriminator, judge, d_loss, g_loss)
