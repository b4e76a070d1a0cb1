"""CycleGAN (Zhu et al. 2017, arXiv 1703.10593): two generators, A to B and B to A, that undo each other.

G: adversarial losses in both domains, cycle consistency, 10 |G_ba(G_ab(a)) - a| and the same for b, and identity,
5 |G_ab(b) - b| and the same for a (L1 means; the weights are in the config). D: one for each domain, on real images and
on a pool of earlier generated ones. As published: least squares, Adam 2e-4 (0.5, 0.999), constant, then linearly to 0.
G is updated first, then D, on the same images.
"""

import jax

from ganjax.adversarial import alternate, from_images, image_pool
from ganjax.adversarial.alternate import Game
from ganjax.adversarial.from_images import content_loss, deinterleave, interleave, l1
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR, Player
from ganjax.config.derived import net_dtypes
from ganjax.config.groups import completed
from ganjax.losses.logits import adversarial
from ganjax.nets import translate
from ganjax.recipe import Recipe


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/cyclegan.py`."""
    config = completed(config)
    from_images.check(config)
    weights, dtypes = config.loss, net_dtypes(config)
    generator = translate.Generator(channels=config.data.channels, **config.model.generator, **dtypes)
    discriminator = from_images.discriminator(config, **dtypes)
    loss = adversarial(weights.kind, halved=True)  # least squares

    def part_of(batch, i, key):
        keys = [jax.random.split(jax.random.fold_in(key, i), config.batch_size) for i in range(2)]
        return {"a": batch["a"], "b": batch["b"], "keys_a": keys[0], "keys_b": keys[1]}

    def generate(players, part):
        # Instance norm treats each image separately, so one pass serves the translation and the identity.
        a, b = part["a"], part["b"]
        fake_b, same_b = deinterleave(players["generator_ab"](interleave(a, b)).image, 2)
        fake_a, same_a = deinterleave(players["generator_ba"](interleave(b, a)).image, 2)
        return {"a": fake_a, "b": fake_b, "same_a": same_a, "same_b": same_b}

    def g_loss(players, part, fakes):
        a, b, fake_a, fake_b = part["a"], part["b"], fakes["a"], fakes["b"]
        terms = {
            "g_loss_ab": loss.g((), players["discriminator_b"](fake_b).logits),
            "g_loss_ba": loss.g((), players["discriminator_a"](fake_a).logits),
            "cycle_a": l1(players["generator_ba"](fake_b).image, a),
            "cycle_b": l1(players["generator_ab"](fake_a).image, b),
            "identity_a": l1(fakes["same_a"], a),
            "identity_b": l1(fakes["same_b"], b),
        }
        terms["g_loss"] = terms["g_loss_ab"] + terms["g_loss_ba"]
        total = terms["g_loss"] + weights.cycle * (terms["cycle_a"] + terms["cycle_b"])
        total += weights.identity * (terms["identity_a"] + terms["identity_b"])
        for name, image, source in (("content_a", fake_b, a), ("content_b", fake_a, b)):
            content, term = content_loss(config, image, source, name)
            total, terms = total + content, terms | term
        return total, terms

    def d_loss(players, part, fakes):
        terms, stats = {}, []
        for name in "ab":
            real, fake = (players[f"discriminator_{name}"](images[name]) for images in (part, fakes))
            terms[f"d_loss_{name}"] = loss.d(real.logits, fake.logits)
            stats.append(from_images.logit_stats(real, fake))
        terms["d_loss"] = terms["d_loss_a"] + terms["d_loss_b"]
        return terms["d_loss"], terms | jax.tree.map(lambda *values: sum(values) / 2, *stats)

    def starts(batch):
        return dict.fromkeys(players, (from_images.one_image(batch, dtypes["param_dtype"]),))

    players = {f"generator_{way}": Player(generator, GENERATOR, averaged=True) for way in ("ab", "ba")}
    players |= {f"discriminator_{name}": Player(discriminator, DISCRIMINATOR) for name in "ab"}
    pools, show = image_pool.pools(config.pool, "ab")
    game = Game(players, starts, part_of, generate, d_loss, g_loss, show=show, extra=pools, first=GENERATOR)
    ways = {f"translate_{way}": from_images.method(generator, f"generator_{way}", way[0]) for way in ("ab", "ba")}
    return alternate.build(config, game, ways)
