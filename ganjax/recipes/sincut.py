"""SinCUT (Park et al. 2020, arXiv 2007.15651, section 4.4): CUT of one photograph and one painting, by their crops.

G keeps what is where by PatchNCE: one patch of each image of the batch, told among those of the others (the crops are
of one picture, so that its own patches would be too near). Beside it |G(b) - b|. D: non-saturating, with R1 at each
step. Both are made of StyleGAN2's layers. D first, then G and the heads, on the same images.
"""

import jax
import jax.numpy as jnp
import optax

from ganjax.adversarial import translation
from ganjax.adversarial.translation import apart, between
from ganjax.config import groups
from ganjax.config.derived import dtypes
from ganjax.errors import UserError
from ganjax.losses import penalties
from ganjax.losses.patch_nce import patch_nce, places, use
from ganjax.nets import stylegan2, translate
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState


def build(config) -> Recipe:
    """Build the recipe from `configs/translate/sincut.py`. UserError for parts of a batch, and for a batch of one."""
    if config.accumulate > 1 or config.batch_size < 2:
        raise UserError(
            f"config.batch_size = {config.batch_size}, config.accumulate = {config.accumulate}: sincut compares the "
            "images of its batch, which must be 2 or more, in one part"
        )
    config = groups.completed(config)
    play = translation.game(config)
    dtype, param_dtype = dtypes(config.precision)
    kinds = {"dtype": dtype, "param_dtype": param_dtype}
    generator = stylegan2.Translator(channels=config.data.channels, **config.model.generator, **kinds)
    discriminator = stylegan2.Discriminator(**config.model.discriminator, **kinds)
    heads = translate.Projections(config.model.heads, **kinds)
    weights = config.loss

    def taps(params, image):
        return generator.apply({"params": params["net"]}, image, train=True, taps=True)

    def judge(params, image):
        return discriminator.apply({"params": params}, image, train=True)[0]

    def init(key, batch):
        g_key, h_key, d_key = jax.random.split(key, 3)
        image = jnp.zeros((1, *batch["a"].shape[1:]), param_dtype)
        net = generator.init(g_key, image, train=False)["params"]
        layers = taps({"net": net}, image)
        at = [jnp.zeros((1, 1), jnp.int32)] * len(layers)
        params = {"net": net, "heads": heads.init(h_key, layers, at)["params"]}
        return GANState.create(
            TrainState.from_variables(generator.apply, {"params": params}, play.g_tx),
            TrainState.from_variables(discriminator.apply, discriminator.init(d_key, image, train=False), play.d_tx),
        )

    def contrast(params, made, source, keys):
        """Return the PatchNCE loss of a batch: the mean over layers and images."""
        queries = taps(params, made)
        at = [
            places(jax.vmap(lambda key, i=i: use(key, i))(keys), layer, 1) for i, layer in enumerate(queries)
        ]  # one pixel of each image
        found = heads.apply({"params": params["heads"]}, queries, at)
        wanted = heads.apply({"params": params["heads"]}, taps(params, source), at)
        together = lambda vectors: vectors[:, 0][None]  # noqa: E731
        losses = [
            patch_nce(together(q), jax.lax.stop_gradient(together(k))) for q, k in zip(found, wanted, strict=True)
        ]
        return sum(losses) / len(losses)

    def step(state, batch, key):
        g, d = state.generator, state.discriminator
        a, b, keys = batch["a"], batch["b"], jax.random.split(key, config.batch_size)
        # D's update does not change G: one pass serves both.
        made, pull_back = jax.vjp(
            lambda params: generator.apply({"params": params["net"]}, between(a, b), train=True), g.params
        )
        fake = apart(made, 2)[0]

        def d_objective(params):
            real, false = judge(params, b), judge(params, fake)
            terms = {"d_loss": play.d(real, false), **translation.seen(real, false)}
            terms["r1"] = penalties.r1(lambda image: judge(params, image), b, fake, key)
            return terms["d_loss"] + weights.r1 * terms["r1"], terms

        grads, terms = jax.grad(d_objective, has_aux=True)(d.params)
        terms["d_grad_norm"] = optax.tree.norm(grads)
        d = d.apply_gradients(grads=grads)

        def g_objective(params, made):
            fake, same = apart(made, 2)
            terms = {
                "g_loss": play.g(judge(d.params, fake)),
                "nce": contrast(params, fake, a, keys),
                "nce_identity": contrast(params, same, b, keys),
                "identity": jnp.mean(jnp.abs(same - b)),
            }
            total = terms["g_loss"] + weights.nce * (terms["nce"] + terms["nce_identity"]) / 2
            terms |= translation.kept(config, fake, a)
            return total + weights.identity * terms["identity"] + weights.content * terms.get("content", 0), terms

        (more, slope), g_terms = jax.grad(g_objective, (0, 1), has_aux=True)(g.params, made)
        grads = jax.tree.map(jnp.add, pull_back(slope)[0], more)
        terms |= g_terms | {"g_grad_norm": optax.tree.norm(grads)}
        g = g.apply_gradients(grads=grads)
        return translation.advanced(config, play, state, g, d, state.extra, terms)

    def inputs(key, count, batch=None):
        return {"image": batch["a"][:count], "direction": "ab"}

    def sample(variables, key, inputs):
        return translation.translated(generator, variables["params"]["net"], inputs)

    return Recipe(init, step, inputs, sample)
