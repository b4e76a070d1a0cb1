"""CUT and FastCUT (Park et al. 2020, arXiv 2007.15651): one generator, A to B, that keeps what is where.

PatchNCE: a patch of G(a) is to be told, among 256 of the image, by the patch of `a` at the same place, both seen by G's
own encoder and small heads (vectors of length 1, temperature 0.07). CUT adds the same of G(b) and b. FastCUT has ten
times the weight, no G(b), and now and then mirrors both. D first, then G and the heads, on the same images.
"""

import jax
import jax.numpy as jnp
import optax

from ganjax.adversarial import translation
from ganjax.adversarial.translation import apart, between, in_parts
from ganjax.config import groups
from ganjax.config.derived import dtypes
from ganjax.losses.patch_nce import patch_nce, places, use
from ganjax.nets import translate
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState

PATCHES = 256
POSITIONS, MIRROR = range(2)  # uses of an image's key


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/cut.py` or `configs/translate/fastcut.py`."""
    config = groups.completed(config)
    play = translation.game(config)
    dtype, param_dtype = dtypes(config.precision)
    kinds = {"dtype": dtype, "param_dtype": param_dtype, "kernel_init": translate.xavier()}
    weights, identity = config.loss, config.loss.nce_identity
    generator = translate.Generator(channels=config.data.channels, blur=True, **config.model.generator, **kinds)
    discriminator = translation.discriminator(config, **kinds)
    heads = translate.Projections(config.model.heads, dtype=dtype, param_dtype=param_dtype)

    def taps(params, image):
        return generator.apply({"params": params["net"]}, image, train=True, taps=True)

    def init(key, batch):
        g_key, h_key, d_key = jax.random.split(key, 3)
        image = jnp.zeros((1, *batch["a"].shape[1:]), param_dtype)
        net = generator.init(g_key, image, train=False)["params"]
        layers = taps({"net": net}, image)
        params = {
            "net": net,
            "heads": heads.init(h_key, layers, [jnp.zeros((1, 1), jnp.int32)] * len(layers))["params"],
        }
        d = discriminator.init(d_key, image, train=False)
        return GANState.create(
            TrainState.from_variables(generator.apply, {"params": params}, play.g_tx),
            TrainState.from_variables(discriminator.apply, d, play.d_tx),
        )

    def mirrored(part, images):
        """Mirror the images (B, H, W, C) whose keys say so."""
        if not weights.mirror:
            return images
        yes = jax.vmap(lambda key: jax.random.bernoulli(use(key, MIRROR), weights.mirror))(part["keys"])
        return jnp.where(yes[:, None, None, None], images[:, :, ::-1], images)

    def generate(params, part):
        shown = [mirrored(part, part[name]) for name in ("ab" if identity else "a")]
        return generator.apply({"params": params["net"]}, between(*shown), train=True)

    def judge(params, image):
        return discriminator.apply({"params": params}, image, train=True)[0]

    def contrast(params, made, source, part):
        """Return the PatchNCE loss of images made from a source: the mean over layers, images and patches.

        What was made of a mirrored image is held, mirrored back, against the image as it is.
        """
        queries = [mirrored(part, layer) for layer in taps(params, made)]
        keys = [jax.vmap(lambda key, i=i: use(key, POSITIONS, i))(part["keys"]) for i in range(len(queries))]
        at = [places(key, layer, PATCHES) for key, layer in zip(keys, queries, strict=True)]
        found = heads.apply({"params": params["heads"]}, queries, at)
        wanted = heads.apply({"params": params["heads"]}, taps(params, source), at)
        return sum(patch_nce(q, jax.lax.stop_gradient(k)) for q, k in zip(found, wanted, strict=True)) / len(found)

    def step(state, batch, key):
        g, d = state.generator, state.discriminator
        part = {"a": batch["a"], "b": batch["b"], "keys": jax.random.split(key, config.batch_size)}
        shared = None
        if config.accumulate == 1:  # D's update does not change G: one pass serves both
            shared = jax.vjp(lambda params: generate(params, part), g.params)
        count = 2 if identity else 1

        def d_gradients(part):
            made = shared[0] if shared else generate(g.params, part)
            fake = apart(made, count)[0]

            def objective(params):
                real, false = judge(params, part["b"]), judge(params, fake)
                return play.d(real, false), translation.seen(real, false)

            (loss, terms), grads = jax.value_and_grad(objective, has_aux=True)(d.params)
            return grads, {}, {"d_loss": loss, **terms}

        grads, _, terms = in_parts(d_gradients, part, config.accumulate)
        terms["d_grad_norm"] = optax.tree.norm(grads)
        d = d.apply_gradients(grads=grads)

        def g_gradients(part):
            made, pull_back = shared or jax.vjp(lambda params: generate(params, part), g.params)

            def objective(params, made):
                images = apart(made, count)
                terms = {"g_loss": play.g(judge(d.params, images[0]))}
                terms["nce"] = contrast(params, images[0], part["a"], part)
                mean = terms["nce"]
                if identity:
                    terms["nce_identity"] = contrast(params, images[1], part["b"], part)
                    mean = (terms["nce"] + terms["nce_identity"]) / 2
                terms |= translation.kept(config, images[0], mirrored(part, part["a"]))
                return terms["g_loss"] + weights.nce * mean + weights.content * terms.get("content", 0), terms

            (more, slope), terms = jax.grad(objective, (0, 1), has_aux=True)(g.params, made)
            return jax.tree.map(jnp.add, pull_back(slope)[0], more), {}, terms

        grads, _, g_terms = in_parts(g_gradients, part, config.accumulate)
        terms |= g_terms | {"g_grad_norm": optax.tree.norm(grads)}
        g = g.apply_gradients(grads=grads)
        return translation.advanced(config, play, state, g, d, state.extra, terms)

    def inputs(key, count, batch=None):
        return {"image": batch["a"][:count], "direction": "ab"}

    def sample(variables, key, inputs):
        return translation.translated(generator, variables["params"]["net"], inputs)

    return Recipe(init, step, inputs, sample)
