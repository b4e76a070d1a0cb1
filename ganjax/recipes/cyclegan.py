"""CycleGAN (Zhu et al. 2017, arXiv 1703.10593): two generators, A to B and B to A, that undo each other.

G: adversarial on both sides, 10 |G_ba(G_ab(a)) - a| and the same of B, and identity, 5 |G_ab(b) - b| and of A (weights
of the config; L1 means). D: one for each side, on real images and on a pool of earlier generated ones. As published:
least squares, Adam 2e-4 (0.5, 0.999), constant, then linearly to 0. G moves first, then D, on the same images.
"""

import jax
import jax.numpy as jnp
import optax

from ganjax.adversarial import image_pool, translation
from ganjax.adversarial.translation import apart, between, in_parts
from ganjax.config import groups
from ganjax.config.derived import dtypes
from ganjax.nets import translate
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/cyclegan.py`."""
    config = groups.completed(config)
    play = translation.game(config)
    dtype, param_dtype = dtypes(config.precision)
    kinds = {"dtype": dtype, "param_dtype": param_dtype}
    generator = translate.Generator(channels=config.data.channels, **config.model.generator, **kinds)
    discriminator = translation.discriminator(config, **kinds)
    weights = config.loss

    def init(key, batch):
        keys, shape = jax.random.split(key, 4), batch["a"].shape[1:]
        image = jnp.zeros((1, *shape), param_dtype)
        g = {name: generator.init(k, image, train=False)["params"] for name, k in zip(("ab", "ba"), keys, strict=False)}
        d = {name: discriminator.init(k, image, train=False)["params"] for name, k in zip("ab", keys[2:], strict=True)}
        return GANState.create(
            TrainState.from_variables(generator.apply, {"params": g}, play.g_tx),
            TrainState.from_variables(discriminator.apply, {"params": d}, play.d_tx),
            {f"pool_{name}": image_pool.empty(config.pool, shape, param_dtype) for name in "ab"},
        )

    def translated(params, direction, image):
        return generator.apply({"params": params[direction]}, image, train=True)

    def judge(params, domain, image):
        return discriminator.apply({"params": params[domain]}, image, train=True)[0]

    def g_objective(params, d_params, part):
        a, b = part["a"], part["b"]
        # Instance norm sees each image by itself, so that one pass serves a translation and an identity.
        fake_b, same_b = apart(translated(params, "ab", between(a, b)), 2)
        fake_a, same_a = apart(translated(params, "ba", between(b, a)), 2)
        again_a, again_b = translated(params, "ba", fake_b), translated(params, "ab", fake_a)
        terms = {
            "g_loss_ab": play.g(judge(d_params, "b", fake_b)),
            "g_loss_ba": play.g(judge(d_params, "a", fake_a)),
            "cycle_a": jnp.mean(jnp.abs(again_a - a)),
            "cycle_b": jnp.mean(jnp.abs(again_b - b)),
            "identity_a": jnp.mean(jnp.abs(same_a - a)),
            "identity_b": jnp.mean(jnp.abs(same_b - b)),
        }
        terms["g_loss"] = terms["g_loss_ab"] + terms["g_loss_ba"]
        total = terms["g_loss"] + weights.cycle * (terms["cycle_a"] + terms["cycle_b"])
        total += weights.identity * (terms["identity_a"] + terms["identity_b"])
        for name, made, source in (("content_a", fake_b, a), ("content_b", fake_a, b)):
            for loss in translation.kept(config, made, source).values():
                terms[name] = loss
                total += weights.content * loss
        return total, (terms, {"a": fake_a, "b": fake_b})

    def d_objective(params, part):
        terms, logged = {}, []
        for name in "ab":
            real, fake = judge(params, name, part[name]), judge(params, name, part[f"fake_{name}"])
            terms[f"d_loss_{name}"] = play.d(real, fake)
            logged.append(translation.seen(real, fake))
        terms["d_loss"] = terms["d_loss_a"] + terms["d_loss_b"]
        terms |= jax.tree.map(lambda *values: sum(values) / 2, *logged)
        return terms["d_loss"], terms

    def step(state, batch, key):
        g, d, extra = state.generator, state.discriminator, state.extra
        part = {name: batch[name] for name in "ab"}

        def g_gradients(part):
            grads, (terms, fakes) = jax.grad(g_objective, has_aux=True)(g.params, d.params, part)
            return grads, fakes, terms

        grads, fakes, terms = in_parts(g_gradients, part, config.accumulate)
        terms["g_grad_norm"] = optax.tree.norm(grads)
        g = g.apply_gradients(grads=grads)
        for i, name in enumerate("ab"):
            keys = jax.random.split(jax.random.fold_in(key, i), config.batch_size)
            part[f"fake_{name}"], extra = _shown(extra, name, jax.lax.stop_gradient(fakes[name]), keys)

        def d_gradients(part):
            grads, terms = jax.grad(d_objective, has_aux=True)(d.params, part)
            return grads, {}, terms

        grads, _, d_terms = in_parts(d_gradients, part, config.accumulate)
        terms |= d_terms | {"d_grad_norm": optax.tree.norm(grads)}
        d = d.apply_gradients(grads=grads)
        return translation.advanced(config, play, state, g, d, extra, terms)

    def inputs(key, count, batch=None):
        return {"image": batch["a"][:count], "direction": "ab"}

    def sample(variables, key, inputs):
        return translation.translated(generator, variables["params"][inputs["direction"]], inputs)

    return Recipe(init, step, inputs, sample)


def _shown(extra: dict, name: str, images: jax.Array, keys: jax.Array) -> tuple[jax.Array, dict]:
    shown, after = image_pool.exchange(extra[f"pool_{name}"], images, keys)
    return shown, {**extra, f"pool_{name}": after}
