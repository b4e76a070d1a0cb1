"""SinGAN (Shaham et al. 2019, arXiv 1905.01164): new images, of any size, from a single picture.

A pyramid of scales, of which each has its own small generator and discriminator. They are trained one after the other,
the coarsest first; those that are done stay as they are. A generator adds details to the enlarged image of the coarser
scale, with noise; its discriminator compares patches of 11x11 pixels with those of the picture at that scale. One fixed
noise must reproduce the picture. As published: WGAN-GP of weight 0.1, three updates of D and three of G a step, 2,000
steps a scale, Adam 5e-4 (0.5, 0.999), a tenth of that after 1,600 steps; a scale starts from the weights of the one
before if it is as wide. Here all three updates of G see the newest images of the same noise.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ganjax.adversarial.alternate import rms
from ganjax.adversarial.players import DISCRIMINATOR, GENERATOR
from ganjax.config.derived import dtypes, horizon, net_dtypes, size
from ganjax.config.groups import completed
from ganjax.errors import UserError
from ganjax.losses import penalties
from ganjax.losses.logits import wasserstein
from ganjax.nets import singan
from ganjax.ops.shard import along_batch
from ganjax.recipe import Method, Recipe
from ganjax.state import State, TrainState

UPDATES = 3  # of D, then of G, in a step
DROP = 0.1  # factor of the learning rates in the last part of a scale's steps
Variables = dict[str, Any]


def build(config) -> Recipe:
    """Build the recipe from `configs/single/singan.py`.

    Raises ValueError if the images are smaller than the coarsest scale, UserError for a branch of another run.
    """
    config = completed(config)
    if config.branch.workdir:
        raise UserError("config.branch.workdir: a run of singan, whose scales train in turn, cannot be branched")
    model, channels, dtype = config.model, config.data.channels, dtypes(config.precision)[1]
    shares = singan.pyramid(size(config), model.smallest, model.factor)
    sizes = [singan.scaled(size(config), share) for share in shares]
    steps = max(horizon(config) // config.batch_size // len(sizes), 1)  # of each scale
    loss = wasserstein()
    nets = {}
    for n in range(len(sizes)):
        g_width, d_width = (singan.features(model[kind].width, n) for kind in (GENERATOR, DISCRIMINATOR))
        nets[f"{GENERATOR}_{n}"] = singan.Generator(g_width, **net_dtypes(config))
        nets[f"{DISCRIMINATOR}_{n}"] = singan.Discriminator(d_width, **net_dtypes(config))

    def init(key: jax.Array, batch: dict) -> State:
        networks, (fixed_key, *keys) = {}, jax.random.split(key, 1 + len(nets))
        for (name, net), net_key in zip(nets.items(), keys, strict=True):
            kind, _, n = name.partition("_")
            image = jnp.zeros((1, *sizes[int(n)], channels), dtype)
            variables = net.init(net_key, *(image, image) if kind == GENERATOR else (image,))
            networks[name] = TrainState.from_variables(net.apply, variables, adam(config, kind, steps))
        fixed = jax.random.normal(fixed_key, (1, *sizes[0], 1), dtype)
        return State.create(networks, (), {"fixed_noise": fixed})

    def climb(variables: Variables, noises: list[jax.Array]) -> jax.Array:
        """Return the images (B, H, W, C) of as many scales as there are noises."""
        image = jnp.zeros((*noises[0].shape[:3], channels), dtype)
        for n, noise in enumerate(noises):
            image = resized(image, noise.shape[1:3]) if n else image
            image = nets[f"{GENERATOR}_{n}"].apply(variables[f"{GENERATOR}_{n}"], image, noise)
        return image

    def draw(key: jax.Array, count: int, sizes: list[singan.Size]) -> list[jax.Array]:
        """Return the noises of these scales, N(0, 1); at the coarsest the channels share theirs."""
        keys = jax.random.split(key, len(sizes))
        shapes = [(count, *side, channels if n else 1) for n, side in enumerate(sizes)]
        return [along_batch(jax.random.normal(k, shape, dtype)) for k, shape in zip(keys, shapes, strict=True)]

    def train_scale(n: int, state: State, image: jax.Array, key: jax.Array) -> tuple[dict, dict]:
        """Return the networks of scale n after one step, and the terms to log."""
        real, begins = resized(image, sizes[n]), state.step == n * steps
        done = {name: network.variables for name, network in state.networks.items()}

        def below(noises: list[jax.Array]) -> jax.Array:
            """Return the enlarged image of the coarser scales, which scale n starts from."""
            return resized(climb(done, noises), sizes[n]) if noises else jnp.zeros_like(real)

        fixed = jnp.broadcast_to(state.extra["fixed_noise"], (len(image), *sizes[0], 1))
        zeros = [jnp.zeros((len(image), *side, channels), dtype) for side in sizes[1 : n + 1]]
        *coarser, own = [fixed, *zeros]
        same = below(coarser), own  # what must become the picture
        std = model.noise * jnp.sqrt(jnp.mean((real - same[0]) ** 2)) if n else jnp.ones((), dtype)
        g, d = (started(nets, state.networks, kind, n, begins) for kind in (GENERATOR, DISCRIMINATOR))
        g = g.replace(mutable={"noise": {"std": std}})

        def generate(params: dict, start: tuple[jax.Array, jax.Array]) -> jax.Array:
            return g.apply_fn({"params": params, **g.mutable}, *start)

        def logits(params: dict, images: jax.Array) -> jax.Array:
            return d.apply_fn({"params": params}, images).logits[0]

        def d_update(d: TrainState, key: jax.Array) -> tuple[TrainState, tuple]:
            noise_key, penalty_key = jax.random.split(key)
            *coarser, own = draw(noise_key, len(image), sizes[: n + 1])
            start = below(coarser), own
            fake = generate(g.params, start)

            def objective(params):
                of_real, of_fake = logits(params, real), logits(params, fake)
                total = loss.d(of_real, of_fake)
                penalty = penalties.wgan_gp_per_pixel(functools.partial(logits, params), real, fake, penalty_key)
                penalty *= config.loss.wgan_gp
                terms = {"d_loss": total, "d_real": jnp.mean(of_real), "d_fake": jnp.mean(of_fake)}
                return total + penalty, terms | {"penalty_wgan_gp": penalty}

            grads, terms = jax.grad(objective, has_aux=True)(d.params)
            return d.apply_gradients(grads=grads), (start, terms | {"d_grad_norm": optax.tree.norm(grads)})

        def g_update(g: TrainState, start: tuple[jax.Array, jax.Array]) -> tuple[TrainState, dict]:
            def objective(params):
                total = loss.g((), logits(d.params, generate(params, start)))
                reconstruction = jnp.mean((generate(params, same) - real) ** 2)
                return total + config.loss.reconstruction * reconstruction, {
                    "g_loss": total,
                    "reconstruction": reconstruction,
                }

            grads, terms = jax.grad(objective, has_aux=True)(g.params)
            return g.apply_gradients(grads=grads), terms | {"g_grad_norm": optax.tree.norm(grads)}

        d, (starts, d_terms) = jax.lax.scan(d_update, d, jax.random.split(key, UPDATES))
        last = jax.tree.map(lambda leaf: leaf[-1], starts)
        g, g_terms = jax.lax.scan(lambda g, _: g_update(g, last), g, length=UPDATES)
        terms = {name: jnp.mean(term.astype(jnp.float32)) for name, term in (d_terms | g_terms).items()}
        terms |= {"scale": jnp.float32(n), "g_weights": rms(g.params), "d_weights": rms(d.params)}
        return {**state.networks, f"{GENERATOR}_{n}": g, f"{DISCRIMINATOR}_{n}": d}, terms

    def step(state: State, batch: dict, key: jax.Array) -> tuple[State, dict]:
        branches = [functools.partial(train_scale, n) for n in range(len(sizes))]
        scale = jnp.minimum(state.step // steps, len(sizes) - 1)
        networks, terms = jax.lax.switch(scale, branches, state, batch["image"], key)
        return state.replace(step=state.step + 1, networks=networks), terms

    def sample(size: singan.Size) -> Method:
        """Return the method for samples of this size, of whose sides each scale has the share that it has learned."""

        def inputs(key: jax.Array, count: int, batch: dict | None = None) -> dict[str, jax.Array]:
            noises = draw(key, count, [singan.scaled(size, share) for share in shares])
            return {f"noise_{n}": noise for n, noise in enumerate(noises)}

        def apply(variables: Variables, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
            rows = [inputs[f"noise_{n}"] for n in range(len(shares))]
            # One image after the other: many large ones at once would need much memory.
            images = jax.lax.map(lambda noises: climb(variables, [noise[None] for noise in noises])[0], rows)
            return {"image": jnp.clip(images, -1, 1)}

        names = tuple(name for name in nets if name.startswith(GENERATOR))
        return Method(names, inputs, apply, sized=sample)

    return Recipe(init, step, {"sample": sample(size(config))}, dict.fromkeys(nets, UPDATES))


def adam(config, kind: str, steps: int) -> optax.GradientTransformation:
    """Return Adam for a scale's network that is trained for so many steps."""
    opt = config.optimizer
    rate = {GENERATOR: opt.g_lr, DISCRIMINATOR: opt.d_lr}[kind]
    schedule = optax.piecewise_constant_schedule(rate, {round(UPDATES * steps * opt.drop_after): DROP})
    return optax.adam(schedule, opt.b1, opt.b2, opt.eps)


def started(nets: dict, networks: dict[str, TrainState], kind: str, n: int, begins: jax.Array) -> TrainState:
    """Return the network of scale n; if its training begins, with the weights of the scale before if both are alike."""
    own, before = f"{kind}_{n}", f"{kind}_{n - 1}"
    if before not in nets or nets[own].width != nets[before].width:
        return networks[own]
    choose = functools.partial(jnp.where, begins)
    return networks[own].replace(params=jax.tree.map(choose, networks[before].params, networks[own].params))


def resized(images: jax.Array, size: singan.Size) -> jax.Array:
    """Return images (B, H, W, C) at this size, by cubic interpolation, antialiased if they become smaller."""
    if images.shape[1:3] == size:
        return images
    return jax.image.resize(images, (len(images), *size, images.shape[-1]), "cubic")
