"""CUT and FastCUT (Park et al. 2020, arXiv 2007.15651): one generator, A to B, that keeps the layout of its input.

PatchNCE: each patch of G(a) must be matched, among 256 patches of the image, to the patch of `a` at the same place. The
patches are embedded by G's own encoder and small heads (unit vectors, temperature 0.07). CUT adds the same loss of G(b)
and b. FastCUT has ten times the weight, no G(b), and flips some images for G. D is updated first, then G and the heads,
on the same images.
"""

import jax
import jax.numpy as jnp

from ganjax.adversarial import alternate, from_images
from ganjax.adversarial.alternate import Game
from ganjax.adversarial.from_images import content_loss, deinterleave, interleave
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player
from ganjax.config.derived import net_dtypes
from ganjax.config.groups import completed
from ganjax.losses.logits import adversarial
from ganjax.losses.patch_nce import contrast, use
from ganjax.nets import translate
from ganjax.recipe import Recipe

PATCHES = 256
POSITIONS, MIRROR = range(2)  # uses of an image's key


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/cut.py` or `fastcut.py`."""
    config = completed(config)
    from_images.check(config)
    weights, dtypes = config.loss, net_dtypes(config)
    sides = "ab" if weights.nce_identity else "a"
    common = {"kernel_init": translate.xavier(), **dtypes}
    generator = translate.Generator(channels=config.data.channels, blur=True, **config.model.generator, **common)
    heads = translate.Projections(config.model.heads, **dtypes)
    discriminator = from_images.discriminator(config, **common)
    loss = adversarial(weights.kind, halved=True)  # least squares

    def flip_some(part, images):
        """Flip a random share of the images (B, H, W, C), chosen by their keys; the same ones in every call."""
        if not weights.mirror:
            return images
        flip = jax.vmap(lambda key: jax.random.bernoulli(use(key, MIRROR), weights.mirror))(part["keys"])
        return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)

    def generate(players, part):
        images = players["generator"](interleave(*(flip_some(part, part[side]) for side in sides))).image
        return dict(zip(sides, deinterleave(images, len(sides)), strict=True))

    def d_loss(players, part, fakes):
        real, fake = players["discriminator"](part["b"]), players["discriminator"](fakes["a"])
        total = loss.d(real.logits, fake.logits)
        return total, {"d_loss": total, **from_images.logit_stats(real, fake)}

    def patches_loss(players, part, image, source):
        """Return the PatchNCE loss. Features of flipped images are flipped back and compared with the image's own."""
        queries = [flip_some(part, layer) for layer in players["generator"](image, taps=True)]
        keys = [jax.vmap(lambda key, i=i: use(key, POSITIONS, i))(part["keys"]) for i in range(len(queries))]
        return contrast(players["heads"], queries, players["generator"](source, taps=True), keys, PATCHES)

    def g_loss(players, part, fakes):
        terms = {"g_loss": loss.g((), players["discriminator"](fakes["a"]).logits)}
        terms["nce"] = nce = patches_loss(players, part, fakes["a"], part["a"])
        if weights.nce_identity:
            terms["nce_identity"] = patches_loss(players, part, fakes["b"], part["b"])
            nce = (nce + terms["nce_identity"]) / 2
        content, term = content_loss(config, fakes["a"], flip_some(part, part["a"]))
        return terms["g_loss"] + weights.nce * nce + content, terms | term

    def starts(batch):
        image = from_images.one_image(batch, dtypes["param_dtype"])
        layers = translate.tapped(generator, image)
        return {"generator": (image,), "heads": (layers, translate.first_pixels(layers)), "discriminator": (image,)}

    players = {"generator": Player(generator, GENERATOR, averaged=True), "heads": Player(heads, GENERATOR)}
    players["discriminator"] = Player(discriminator, DISCRIMINATOR)
    game = Game(players, starts, from_images.part_of, generate, d_loss, g_loss)
    return alternate.build(config, game, {"translate_ab": from_images.method(generator)})
