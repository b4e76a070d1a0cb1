"""SinCUT (Park et al. 2020, arXiv 2007.15651, section 4.4): CUT on crops of one photograph and one painting.

PatchNCE keeps the layout: one patch of each image must be matched among those of the other images of the batch (patches
of the same crop would be too similar). The identity loss |G(b) - b| is added. D: non-saturating loss, with R1 at each
step. Both networks use StyleGAN2's layers. D is updated first, then G and the heads, on the same images.
"""

import jax

from ganjax.adversarial import alternate, from_images
from ganjax.adversarial.alternate import Game
from ganjax.adversarial.from_images import content_loss, deinterleave, interleave, l1
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player
from ganjax.adversarial.regularisers import Regulariser
from ganjax.config.derived import net_dtypes
from ganjax.config.groups import completed
from ganjax.errors import UserError
from ganjax.losses import penalties
from ganjax.losses.logits import adversarial
from ganjax.losses.patch_nce import contrast, use
from ganjax.nets import sincut, translate
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/sincut.py`.

    Raises UserError for a batch of one image, and for gradient accumulation.
    """
    if config.accumulate > 1 or config.batch_size < 2:
        raise UserError(
            f"config.batch_size = {config.batch_size}, config.accumulate = {config.accumulate}: sincut compares the "
            "images of its batch: set batch_size to 2 or more, and accumulate to 1"
        )
    config = completed(config)
    from_images.check(config)
    weights, dtypes = config.loss, net_dtypes(config)
    generator = sincut.Translator(channels=config.data.channels, **config.model.generator, **dtypes)
    heads = translate.Projections(config.model.heads, **dtypes)
    discriminator = sincut.Discriminator(**config.model.discriminator, **dtypes)
    loss = adversarial(weights.kind, halved=True)  # non-saturating

    def generate(players, part):
        fake, same = deinterleave(players["generator"](interleave(part["a"], part["b"])).image, 2)
        return {"a": fake, "b": same}

    def d_loss(players, part, fakes):
        real, fake = players["discriminator"](part["b"]), players["discriminator"](fakes["a"])
        total = loss.d(real.logits, fake.logits)
        return total, {"d_loss": total, **from_images.logit_stats(real, fake)}

    def r1(players, part, fakes):
        return penalties.r1(lambda x: players["discriminator"](x).logits[0], part["b"], fakes["a"], part["keys"]), {}

    def patches_loss(players, part, image, source):
        """Return the PatchNCE loss, which matches one patch of each image among those of the batch."""
        queries = players["generator"](image, taps=True)
        keys = [jax.vmap(lambda key, i=i: use(key, i))(part["keys"]) for i in range(len(queries))]
        return contrast(players["heads"], queries, players["generator"](source, taps=True), keys, 1, among_images=True)

    def g_loss(players, part, fakes):
        terms = {
            "g_loss": loss.g((), players["discriminator"](fakes["a"]).logits),
            "nce": patches_loss(players, part, fakes["a"], part["a"]),
            "nce_identity": patches_loss(players, part, fakes["b"], part["b"]),
            "identity": l1(fakes["b"], part["b"]),
        }
        total = terms["g_loss"] + weights.nce * (terms["nce"] + terms["nce_identity"]) / 2
        content, term = content_loss(config, fakes["a"], part["a"])
        return total + weights.identity * terms["identity"] + content, terms | term

    def starts(batch):
        image = from_images.one_image(batch, dtypes["param_dtype"])
        layers = translate.tapped(generator, image)
        return {"generator": (image,), "heads": (layers, translate.first_pixels(layers)), "discriminator": (image,)}

    players = {"generator": Player(generator, GENERATOR, averaged=True), "heads": Player(heads, GENERATOR)}
    players["discriminator"] = Player(discriminator, DISCRIMINATOR)
    penalty = Regulariser("r1", DISCRIMINATOR, r1, weights.r1, per_image=True)
    game = Game(players, starts, from_images.part_of, generate, d_loss, g_loss, (penalty,))
    return alternate.build(config, game, {"translate_ab": from_images.method(generator)})
