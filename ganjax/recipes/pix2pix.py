"""pix2pix (Isola et al. 2017, arXiv 1611.07004): pairs of images; D judges an image together with its source.

G: adversarial loss and 100 |G(a) - b| (L1 mean; the weight is in the config); optionally the L1 distance between D's
features (Wang et al. 2018, arXiv 1711.11585, equation 4; weight 10 there). D is updated first, then G, on the same
images. As published: cross-entropy, halved for D; Adam 2e-4 (0.5, 0.999); U-Net with dropout in training.
"""

import jax
import jax.numpy as jnp

from ganjax.adversarial import alternate, from_images
from ganjax.adversarial.alternate import Game
from ganjax.adversarial.from_images import content_loss, l1
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player
from ganjax.config.derived import net_dtypes, size
from ganjax.config.groups import completed
from ganjax.errors import UserError
from ganjax.losses.logits import adversarial
from ganjax.nets import translate
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/pix2pix.py` or `configs/restore/restore.py`."""
    if config.data.paired == "no":
        raise UserError("pix2pix learns from pairs, but config.data.paired = 'no': use --config=cyclegan or cut")
    config = completed(config)
    from_images.check(config)
    weights, dtypes, fields = config.loss, net_dtypes(config), config.model.generator.to_dict()
    depth = fields.pop("depth") or max(min(size(config)).bit_length() - 1, 2)  # down to one pixel
    generator = translate.UNet(depth=depth, channels=config.data.channels, **fields, **dtypes)
    discriminator = from_images.discriminator(config, **dtypes)
    loss = adversarial(weights.kind, halved=True)  # cross-entropy

    def generate(players, part):
        """Translate with dropout, drawn with each image's own key."""

        def translate_one(image, key):
            return players["generator"](image[None], rngs={"dropout": key}).image[0]

        if len(part["a"]) == 1:
            return translate_one(part["a"][0], part["keys"][0])[None]
        return jax.vmap(translate_one)(part["a"], part["keys"])

    def judge(players, part, images):
        return players["discriminator"](jnp.concatenate([part["a"], images], -1))

    def d_loss(players, part, fakes):
        real, fake = judge(players, part, part["b"]), judge(players, part, fakes)
        total = loss.d(real.logits, fake.logits)
        return total, {"d_loss": total, **from_images.logit_stats(real, fake)}

    def g_loss(players, part, fakes):
        fake = judge(players, part, fakes)
        terms = {"g_loss": loss.g((), fake.logits), "l1": l1(fakes, part["b"])}
        total = terms["g_loss"] + weights.l1 * terms["l1"]
        if weights.feature_matching:
            features = jax.lax.stop_gradient(judge(players, part, part["b"]).features)
            layers = [l1(x, y) for x, y in zip(fake.features, features, strict=True)]
            terms["feature_matching"] = sum(layers) / len(layers)
            total += weights.feature_matching * terms["feature_matching"]
        content, term = content_loss(config, fakes, part["a"])
        return total + content, terms | term

    def starts(batch):
        image = from_images.one_image(batch, dtypes["param_dtype"])
        return {"generator": (image,), "discriminator": (jnp.concatenate([image, image], -1),)}

    players = {"generator": Player(generator, GENERATOR, averaged=True)}
    players["discriminator"] = Player(discriminator, DISCRIMINATOR)
    game = Game(players, starts, from_images.part_of, generate, d_loss, g_loss)
    return alternate.build(config, game, {"translate_ab": from_images.method(generator)})
