"""DCGAN: the tutorial recipe (Radford et al. 2016, arXiv 1511.06434).

Non-saturating loss on logits; one D update on real and fake images, then one G update through the updated D; Adam for
each; a moving average of G. Optional: one-sided label smoothing, instance noise, clipping, schedules.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from ganjax import losses, optim
from ganjax.config import dtypes, horizon, size
from ganjax.errors import UserError, nearest
from ganjax.nets import dcgan
from ganjax.ops.shard import along_batch
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState, ema_decay, update_ema

KERNEL_INITS = {"normal": nn.initializers.normal(0.02), "xavier": nn.initializers.xavier_uniform()}


def build(config) -> Recipe:
    """Build the recipe from `configs/dcgan.py` or one of its variants."""
    dtype, param_dtype = dtypes(config.precision)
    if config.model.init not in KERNEL_INITS:
        raise UserError(
            f"config.model.init = {config.model.init!r} is not known{nearest(config.model.init, KERNEL_INITS)}"
        )
    g, d = config.model.generator, config.model.discriminator
    sizes = (config.model.z_dim, g.width, *g.widths, d.width, *d.widths)
    if not all(isinstance(size, int) and size > 0 for size in sizes) or not 0 <= d.dropout < 1:
        raise UserError("config.model: z_dim and all widths must be integers above 0, dropout in [0, 1)")
    common = {"kernel_init": KERNEL_INITS[config.model.init], "dtype": dtype, "param_dtype": param_dtype}
    z_dim = config.model.z_dim
    generator = dcgan.Generator(size(config), channels=config.data.channels, **config.model.generator, **common)
    discriminator = dcgan.Discriminator(**config.model.discriminator, **common)
    loss = losses.non_saturating(config.loss.label_smoothing)

    opt, total, batch_size = config.optimizer, horizon(config), config.batch_size
    g_rate = optim.schedule(opt.schedule, opt.g_lr, total, batch_size, opt.decay_start)
    d_rate = optim.schedule(opt.schedule, opt.d_lr, total, batch_size, opt.decay_start)

    def latents(key, n):
        return along_batch(jax.random.normal(key, (n, z_dim), param_dtype))

    def init(key, batch):
        g_key, d_key = jax.random.split(key)
        g = generator.init(g_key, jnp.zeros((1, z_dim), param_dtype), train=False)
        d = discriminator.init(d_key, jnp.zeros((1, *batch["image"].shape[1:]), param_dtype), train=False)
        return GANState.create(
            TrainState.from_variables(generator.apply, g, optim.adam(g_rate, opt.b1, opt.b2, opt.clip_norm)),
            TrainState.from_variables(discriminator.apply, d, optim.adam(d_rate, opt.b1, opt.b2, opt.clip_norm)),
        )

    def discriminate(params, mutable, image, key, noise_std):
        """Return the logits and the updated collections; instance noise (Sonderby et al. 2017) blurs both classes."""
        noise_key, dropout_key = jax.random.split(key)
        if config.loss.instance_noise > 0:
            image = image + noise_std * along_batch(jax.random.normal(noise_key, image.shape, image.dtype))
        (logits, _), mutable = discriminator.apply(
            {"params": params, **mutable}, image, train=True, mutable=list(mutable), rngs={"dropout": dropout_key}
        )
        return logits, mutable

    def step(state, batch, key):
        g, d = state.generator, state.discriminator
        z_key, real_key, fake_key, g_key = jax.random.split(key, 4)
        images_seen = state.step * batch_size
        noise_std = config.loss.instance_noise * jnp.maximum(1 - images_seen / max(total, 1), 0)
        z = latents(z_key, batch["image"].shape[0])

        # One forward of G serves both updates: D's update does not change it, so G's gradient may be pulled back
        # through it after D has moved.
        def generate(params):
            return generator.apply({"params": params, **g.mutable}, z, train=True, mutable=list(g.mutable))

        fake, pull_back, g_mutable = jax.vjp(generate, g.params, has_aux=True)

        # Real and fake pass apart: each has batch statistics of its own.
        def d_loss_fn(params):
            real_logits, mutable = discriminate(params, d.mutable, batch["image"], real_key, noise_std)
            fake_logits, mutable = discriminate(params, mutable, fake, fake_key, noise_std)
            return loss.d(real_logits, fake_logits), (real_logits, fake_logits, mutable)

        (d_loss, (real_logits, fake_logits, d_mutable)), d_grads = jax.value_and_grad(d_loss_fn, has_aux=True)(d.params)
        d = d.apply_gradients(grads=d_grads, mutable=d_mutable)

        def g_loss_fn(fake):
            return loss.g(real_logits, discriminate(d.params, d.mutable, fake, g_key, noise_std)[0])

        g_loss, fake_grad = jax.value_and_grad(g_loss_fn)(fake)
        (g_grads,) = pull_back(fake_grad)
        g = g.apply_gradients(grads=g_grads, mutable=g_mutable)

        decay = ema_decay(images_seen + batch_size, batch_size, config.ema.half_life_images, config.ema.ramp)
        metrics = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_real": jnp.mean(real_logits),
            "d_fake": jnp.mean(fake_logits),
            "d_grad_norm": optax.tree.norm(d_grads),
            "g_grad_norm": optax.tree.norm(g_grads),
            "d_lr": d_rate(state.step),
            "g_lr": g_rate(state.step),
        }
        return GANState(state.step + 1, g, d, update_ema(state.ema, g.variables, decay), state.extra), metrics

    def inputs(key, n, batch=None):
        return {"z": latents(key, n)}

    def sample(variables, key, inputs):
        return generator.apply(variables, inputs["z"], train=False)

    return Recipe(init, step, inputs, sample)
