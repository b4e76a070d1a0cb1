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
    pyramid = Pyramid(config)
    methods = {"sample": pyramid.sample(size(config))}
    return Recipe(pyramid.init, pyramid.step, methods, dict.fromkeys(pyramid.nets, UPDATES))


class Pyramid:
    """The networks of all scales, and the pure functions `init`, `step` and `sample`, as `Recipe` documents them."""

    def __init__(self, config):
        self.config, self.channels, self.dtype = config, config.data.channels, dtypes(config.precision)[1]
        self.shares = singan.pyramid(size(config), config.model.smallest, config.model.factor)
        self.sizes = [singan.scaled(size(config), share) for share in self.shares]
        self.steps = max(horizon(config) // config.batch_size // len(self.sizes), 1)  # of each scale
        self.loss, self.nets, kinds = wasserstein(), {}, net_dtypes(config)
        for n in range(len(self.sizes)):
            g_width, d_width = (singan.features(config.model[kind].width, n) for kind in (GENERATOR, DISCRIMINATOR))
            self.nets[f"{GENERATOR}_{n}"] = singan.Generator(g_width, **kinds)
            self.nets[f"{DISCRIMINATOR}_{n}"] = singan.Discriminator(d_width, **kinds)

    def init(self, key: jax.Array, batch: dict) -> State:
        networks, (fixed_key, *keys) = {}, jax.random.split(key, 1 + len(self.nets))
        for (name, net), net_key in zip(self.nets.items(), keys, strict=True):
            kind, _, n = name.partition("_")
            image = jnp.zeros((1, *self.sizes[int(n)], self.channels), self.dtype)
            variables = net.init(net_key, *(image, image) if kind == GENERATOR else (image,))
            networks[name] = TrainState.from_variables(net.apply, variables, adam(self.config, kind, self.steps))
        fixed = jax.random.normal(fixed_key, (1, *self.sizes[0], 1), self.dtype)
        return State.create(networks, (), {"fixed_noise": fixed})

    def step(self, state: State, batch: dict, key: jax.Array) -> tuple[State, dict]:
        branches = [functools.partial(self._train, n) for n in range(len(self.sizes))]
        n = jnp.minimum(state.step // self.steps, len(self.sizes) - 1)
        networks, terms = jax.lax.switch(n, branches, state, batch["image"], key)
        return state.replace(step=state.step + 1, networks=networks), terms

    def sample(self, size: singan.Size) -> Method:
        """Return the method for samples of this size, of whose sides each scale has the share that it has learned."""

        def inputs(key: jax.Array, count: int, batch: dict | None = None) -> dict[str, jax.Array]:
            noises = self._draw(key, count, [singan.scaled(size, share) for share in self.shares])
            return {f"noise_{n}": noise for n, noise in enumerate(noises)}

        def apply(variables: Variables, key: jax.Array, inputs: dict) -> dict[str, jax.Array]:
            rows = [inputs[f"noise_{n}"] for n in range(len(self.shares))]
            # One image after the other: many large ones at once would need much memory.
            images = jax.lax.map(lambda noises: self._climb(variables, [noise[None] for noise in noises])[0], rows)
            return {"image": jnp.clip(images, -1, 1)}

        names = tuple(name for name in self.nets if name.startswith(GENERATOR))
        return Method(names, inputs, apply, sized=self.sample)

    def _climb(self, variables: Variables, noises: list[jax.Array]) -> jax.Array:
        """Return the images (B, H, W, C) of as many scales as there are noises."""
        image = jnp.zeros((*noises[0].shape[:3], self.channels), self.dtype)
        for n, noise in enumerate(noises):
            image = resized(image, noise.shape[1:3]) if n else image
            image = self.nets[f"{GENERATOR}_{n}"].apply(variables[f"{GENERATOR}_{n}"], image, noise)
        return image

    def _draw(self, key: jax.Array, count: int, sizes: list[singan.Size]) -> list[jax.Array]:
        """Return the noises of these scales, N(0, 1); at the coarsest the channels share theirs."""
        keys = jax.random.split(key, len(sizes))
        shapes = [(count, *side, self.channels if n else 1) for n, side in enumerate(sizes)]
        return [along_batch(jax.random.normal(k, shape, self.dtype)) for k, shape in zip(keys, shapes, strict=True)]

    def _start(self, variables: Variables, noises: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Return the start of the finest of these scales: the enlarged image of those below it, and its noise."""
        *coarser, own = noises
        if coarser:
            return resized(self._climb(variables, coarser), own.shape[1:3]), own
        return jnp.zeros((*own.shape[:3], self.channels), self.dtype), own

    def _train(self, n: int, state: State, image: jax.Array, key: jax.Array) -> tuple[dict, dict]:
        """Return the networks after one step of scale n, and the terms to log."""
        real, begins = resized(image, self.sizes[n]), state.step == n * self.steps
        done = {name: network.variables for name, network in state.networks.items()}
        fixed = jnp.broadcast_to(state.extra["fixed_noise"], (len(image), *self.sizes[0], 1))
        zeros = [jnp.zeros((len(image), *side, self.channels), self.dtype) for side in self.sizes[1 : n + 1]]
        same = self._start(done, [fixed, *zeros])
        std = self.config.model.noise * jnp.sqrt(jnp.mean((real - same[0]) ** 2)) if n else jnp.ones((), self.dtype)
        g, d = (started(self.nets, state.networks, kind, n, begins) for kind in (GENERATOR, DISCRIMINATOR))
        g = g.replace(mutable={"noise": {"std": std}})

        def d_update(d: TrainState, key: jax.Array) -> tuple[TrainState, tuple]:
            noise_key, penalty_key = jax.random.split(key)
            start = self._start(done, self._draw(noise_key, len(image), self.sizes[: n + 1]))
            fake = g.apply_fn(g.variables, *start)
            grads, terms = jax.grad(self._d_objective, has_aux=True)(d.params, d, real, fake, penalty_key)
            return d.apply_gradients(grads=grads), (start, terms | {"d_grad_norm": optax.tree.norm(grads)})

        d, (starts, d_terms) = jax.lax.scan(d_update, d, jax.random.split(key, UPDATES))
        last = jax.tree.map(lambda leaf: leaf[-1], starts)

        def g_update(g: TrainState, _: None) -> tuple[TrainState, dict]:
            grads, terms = jax.grad(self._g_objective, has_aux=True)(g.params, g, d, last, same, real)
            return g.apply_gradients(grads=grads), terms | {"g_grad_norm": optax.tree.norm(grads)}

        g, g_terms = jax.lax.scan(g_update, g, length=UPDATES)
        terms = {name: jnp.mean(term.astype(jnp.float32)) for name, term in (d_terms | g_terms).items()}
        terms |= {"scale": jnp.float32(n), "g_weights": rms(g.params), "d_weights": rms(d.params)}
        return {**state.networks, f"{GENERATOR}_{n}": g, f"{DISCRIMINATOR}_{n}": d}, terms

    def _d_objective(self, params: dict, d: TrainState, real: jax.Array, fake: jax.Array, key: jax.Array) -> tuple:
        """Return D's loss with its penalty, and the terms to log."""

        def logits(images: jax.Array) -> jax.Array:
            return d.apply_fn({"params": params}, images).logits[0]

        of_real, of_fake = logits(real), logits(fake)
        total = self.loss.d(of_real, of_fake)
        penalty = self.config.loss.wgan_gp * penalties.wgan_gp_per_pixel(logits, real, fake, key)
        terms = {"d_loss": total, "d_real": jnp.mean(of_real), "d_fake": jnp.mean(of_fake)}
        return total + penalty, terms | {"penalty_wgan_gp": penalty}

    def _g_objective(
        self, params: dict, g: TrainState, d: TrainState, start: tuple, same: tuple, real: jax.Array
    ) -> tuple:
        """Return G's loss on the images from `start`, with the error of those from `same`; and the terms to log."""
        fake, rebuilt = (g.apply_fn({"params": params, **g.mutable}, *inputs) for inputs in (start, same))
        total = self.loss.g((), d.apply_fn(d.variables, fake).logits[0])
        reconstruction = jnp.mean((rebuilt - real) ** 2)
        terms = {"g_loss": total, "reconstruction": reconstruction}
        return total + self.config.loss.reconstruction * reconstruction, terms


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
