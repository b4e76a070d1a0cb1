"""pix2pix (Isola et al. 2017, arXiv 1611.07004): pairs of images; D judges an image together with what it came from.

G: adversarial and 100 |G(a) - b| (L1 mean, the weight of the config); by config also the L1 difference of D's features
(Wang et al. 2018, arXiv 1711.11585, equation 4; 10 there). D first, then G, on the same images. As published:
cross-entropy, halved for D; Adam 2e-4 (0.5, 0.999); U-Net with dropout while training.
"""

import jax
import jax.numpy as jnp
import optax

from ganjax.adversarial import translation
from ganjax.adversarial.translation import in_parts
from ganjax.config import groups
from ganjax.config.derived import dtypes, size
from ganjax.errors import UserError
from ganjax.nets import translate
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/pix2pix.py`."""
    if config.data.paired == "no":
        raise UserError(
            "pix2pix learns from pairs, and config.data.paired = 'no': take configs/translate/cyclegan.py or cut.py"
        )
    config = groups.completed(config)
    play = translation.game(config)
    dtype, param_dtype = dtypes(config.precision)
    kinds = {"dtype": dtype, "param_dtype": param_dtype}
    g_fields = config.model.generator.to_dict()
    weights = config.loss
    matched = weights.get("feature_matching", 0.0)  # not known to a run's config from before it
    depth = g_fields.pop("depth") or max(min(size(config)).bit_length() - 1, 2)  # down to one pixel
    generator = translate.UNet(depth=depth, channels=config.data.channels, **g_fields, **kinds)
    discriminator = translation.discriminator(config, **kinds)

    def init(key, batch):
        g_key, d_key = jax.random.split(key)
        image = jnp.zeros((1, *batch["a"].shape[1:]), param_dtype)
        pair = jnp.zeros((1, *batch["a"].shape[1:3], batch["a"].shape[3] + batch["b"].shape[3]), param_dtype)
        g, d = generator.init(g_key, image, train=False), discriminator.init(d_key, pair, train=False)
        return GANState.create(
            TrainState.from_variables(generator.apply, g, play.g_tx),
            TrainState.from_variables(discriminator.apply, d, play.d_tx),
        )

    def translated(params, image, keys):
        """Translate with dropout, each image's by a key of its own."""
        one = lambda x, key: generator.apply({"params": params}, x[None], train=True, rngs={"dropout": key})[0]  # noqa: E731
        if len(image) == 1:
            return one(image[0], keys[0])[None]
        return jax.vmap(one)(image, keys)

    def judge(params, a, b):
        """Return the logits and the features."""
        return discriminator.apply({"params": params}, jnp.concatenate([a, b], -1), train=True)

    def step(state, batch, key):
        g, d = state.generator, state.discriminator
        part = {"a": batch["a"], "b": batch["b"], "keys": jax.random.split(key, config.batch_size)}
        shared = None
        if config.accumulate == 1:  # D's update does not change G: one pass serves both
            shared = jax.vjp(lambda params: translated(params, part["a"], part["keys"]), g.params)

        def d_gradients(part):
            fake = shared[0] if shared else translated(g.params, part["a"], part["keys"])

            def objective(params):
                real, made = judge(params, part["a"], part["b"])[0], judge(params, part["a"], fake)[0]
                return play.d(real, made), translation.seen(real, made)

            (loss, terms), grads = jax.value_and_grad(objective, has_aux=True)(d.params)
            return grads, {}, {"d_loss": loss, **terms}

        grads, _, terms = in_parts(d_gradients, part, config.accumulate)
        terms["d_grad_norm"] = optax.tree.norm(grads)
        d = d.apply_gradients(grads=grads)

        def g_gradients(part):
            make = lambda params: translated(params, part["a"], part["keys"])  # noqa: E731
            fake, pull_back = shared or jax.vjp(make, g.params)

            def objective(fake):
                logits, features = judge(d.params, part["a"], fake)
                terms = {"g_loss": play.g(logits), "l1": jnp.mean(jnp.abs(fake - part["b"]))}
                total = terms["g_loss"] + weights.l1 * terms["l1"]
                if matched:
                    wanted = jax.lax.stop_gradient(judge(d.params, part["a"], part["b"])[1])
                    terms["feature_matching"] = matching(features, wanted)
                    total += matched * terms["feature_matching"]
                terms |= translation.kept(config, fake, part["a"])
                return total + weights.content * terms.get("content", 0), terms

            slope, terms = jax.grad(objective, has_aux=True)(fake)
            return pull_back(slope)[0], {}, terms

        # Where G translates again, it drops the units that it dropped for D: the image must be the same.
        part["keys"] = jax.random.clone(part["keys"])
        grads, _, g_terms = in_parts(g_gradients, part, config.accumulate)
        terms |= g_terms | {"g_grad_norm": optax.tree.norm(grads)}
        g = g.apply_gradients(grads=grads)
        return translation.advanced(config, play, state, g, d, state.extra, terms)

    def inputs(key, count, batch=None):
        return {"image": batch["a"][:count], "direction": "ab"}

    def sample(variables, key, inputs):
        return translation.translated(generator, variables["params"], inputs)

    return Recipe(init, step, inputs, sample)


def matching(made: list[jax.Array], wanted: list[jax.Array]) -> jax.Array:
    """Return the mean over layers of the mean absolute difference of features."""
    return sum(jnp.mean(jnp.abs(x - y)) for x, y in zip(made, wanted, strict=True)) / len(made)
