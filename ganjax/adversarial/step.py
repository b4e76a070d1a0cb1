"""The step that recipes from noise share: some updates of D, then one of G."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ganjax.adversarial import optimisers
from ganjax.adversarial.image_keys import LABEL, use
from ganjax.adversarial.keys import Nets, check
from ganjax.adversarial.updates import Updates, rms
from ganjax.config.derived import dtypes, horizon
from ganjax.ops.shard import along_batch
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState, ema_decay, update_ema


def build(config: ConfigDict, nets: Nets) -> Recipe:
    """Return the recipe of these networks; UserError for what cannot be right, in a sentence."""
    check(config, nets)
    dtype = dtypes(config.precision)[1]
    batch_size, n, total = config.batch_size, config.d_steps, horizon(config)
    updates = Updates(config, nets)
    known, lazy, opt = updates.known, updates.lazy, config.optimizer
    # A lazy penalty's own update makes k + 1 of k: learning rate and betas are corrected (arXiv 1912.04958, B).
    c = lazy / (lazy + 1) if lazy else 1.0
    d_updates = n * (1 + 1 / lazy) if lazy else n  # for one of G

    def rate(value):
        return optimisers.schedule(opt.schedule, value, total, batch_size, opt.decay_start, opt.warmup_images)

    g_rate, d_rate = rate(opt.g_lr), rate(opt.d_lr)
    g_tx = optimisers.adam(g_rate, opt.b1, opt.b2, opt.clip_norm, opt.eps)
    d_tx = optimisers.adam(lambda count: c * d_rate(count / d_updates), opt.b1**c, opt.b2**c, opt.clip_norm, opt.eps)

    def latents(key, count):
        return along_batch(jax.random.normal(key, (count, nets.z_dim), dtype))

    def init(key, batch):
        g_key, d_key = jax.random.split(key)
        label = jnp.zeros((1, len(known.sizes)), jnp.int32) if known else None
        g = nets.generator.init(g_key, jnp.zeros((1, nets.z_dim), dtype), label, train=False)
        d = nets.discriminator.init(d_key, jnp.zeros((1, *batch["image"].shape[1:]), dtype), label, train=False)
        extra = {"lecam": jnp.zeros(3)} if config.penalty.lecam else {}  # sums of real and fake logits, and of weights
        return GANState.create(
            TrainState.from_variables(nets.generator.apply, g, g_tx),
            TrainState.from_variables(nets.discriminator.apply, d, d_tx),
            extra,
        )

    def step(state, batch, key):
        g, d, extra = state.generator, state.discriminator, state.extra
        lecam = extra.get("lecam")
        z_key, keys_key = jax.random.split(key)
        images_seen = state.step * batch_size
        noise_std = config.loss.instance_noise * jnp.maximum(1 - images_seen / max(total, 1), 0)

        def part_of(i):
            """Return the real images, labels, latents and keys of D's i-th update.

            It takes every n-th image, so that each device keeps its own.
            """
            image, label = (x.reshape(batch_size, n, *x.shape[1:])[:, i] for x in (batch["image"], batch["label"]))
            keys = jax.random.split(jax.random.fold_in(keys_key, i), batch_size)
            part = {"image": image, "keys": keys, "z": latents(jax.random.fold_in(z_key, i), batch_size), "label": None}
            if known:
                shown = known.attributes(label)
                if config.condition.dropout:
                    hidden = jax.vmap(lambda k: jax.random.bernoulli(k, config.condition.dropout))(use(keys, LABEL))
                    shown = jnp.where(hidden[:, None], -1, shown)
                part["label"] = shown
            return part

        if n == 1:
            part, made = part_of(0), None
            if config.accumulate == 1:
                # D's update does not change G: one forward serves both, and G's gradient is pulled back through it
                # after D has moved.
                make = lambda params: updates.generate(params, g.mutable, part["z"], part["label"])  # noqa: E731
                made = jax.vjp(make, g.params, has_aux=True)
                fakes = {"fake": made[0], **updates.nears(g, part)}
            else:
                fakes = updates.fakes(g, part)
            d, lecam, terms = updates.d(d, {**part, **fakes}, noise_std, state.step, lecam, images_seen)
        else:

            def body(carry, i):
                part = part_of(i)
                part |= updates.fakes(g, part)
                d, lecam, terms = updates.d(carry[0], part, noise_std, state.step * n + i, carry[1], images_seen)
                return (d, lecam), terms

            (d, lecam), terms = jax.lax.scan(body, (d, lecam), jnp.arange(n))
            terms = jax.tree.map(jnp.mean, terms)
            part, made = part_of(n - 1), None
            part["z"] = latents(jax.random.fold_in(z_key, n), batch_size)
        g, g_terms = updates.g(g, d, part, noise_std, made)
        decay = ema_decay(images_seen + batch_size, batch_size, config.ema.half_life_images, config.ema.ramp)
        decay = jnp.where(images_seen < config.ema.start_images, 0.0, decay)
        more = {
            "d_weights": rms(d.params),
            "g_weights": rms(g.params),
            "d_lr": d_rate(state.step),
            "g_lr": g_rate(state.step),
        }
        ema = update_ema(state.ema, g.variables, decay)
        extra = {**extra, "lecam": lecam} if lecam is not None else extra
        return GANState(state.step + 1, g, d, ema, extra), {**terms, **g_terms, **more}

    def inputs(key, count, batch=None):
        found = {"z": latents(key, count)}
        if known:
            found["label"] = known.draw(jax.random.fold_in(key, LABEL), count)
        return found

    def sample(variables, key, inputs):
        return nets.generator.apply(variables, inputs["z"], inputs.get("label"), train=False)

    return Recipe(init, step, inputs, sample, n)
