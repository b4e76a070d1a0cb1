"""The adversarial step that recipes share: some updates of D, then one of G, with the loss, penalties, augmentation,
conditions and schedules of the config. A recipe brings the networks.

Every random draw of an image follows from a key of its own, so that neither devices nor accumulation change it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ganjax import augment, labels, losses, optim, penalties
from ganjax.config import dtypes, horizon
from ganjax.errors import UserError, nearest
from ganjax.nets.conditional import Classified, Projected
from ganjax.ops.shard import along_batch
from ganjax.recipe import Recipe
from ganjax.state import GANState, TrainState, ema_decay, update_ema

GRADIENT = {
    "r1": penalties.r1,
    "r2": penalties.r2,
    "wgan_gp": penalties.wgan_gp,
    "wgan_gp_one_sided": penalties.wgan_gp_one_sided,
    "dragan": penalties.dragan,
}
CONDITIONS = ("none", "projection", "acgan")
NOISE, DROPOUT, AUGMENT = range(3)  # uses of an image's key
REAL, FAKE, PENALTY, LABEL = range(4)  # and of its key in a step


def defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys that the step reads to a config, at values that change nothing, and return it."""
    config.d_steps = 1  # updates of D for each of G, each on batch_size real images of its own
    config.accumulate = 1  # parts of the batch, one after the other: less memory, the same result
    config.diffaugment = ""  # of all that D sees: "color,translation,cutout", or a preset: full, palette, paint

    config.loss = ConfigDict()
    config.loss.kind = "non_saturating"  # saturating, least_squares, hinge, wasserstein, relativistic
    config.loss.label_smoothing = 0.0  # one-sided: the target of real images is 1 - this
    config.loss.instance_noise = 0.0  # std at the start, on images in [-1, 1]; falls to 0 over the schedule
    config.loss.feature_matching = 0.0  # weight, in G's loss, of the distance between D's mean features

    config.penalty = ConfigDict()  # weights; 0: off
    config.penalty.r1 = 0.0  # gamma / 2 |grad|^2 on real images
    config.penalty.r2 = 0.0  # on generated ones
    config.penalty.wgan_gp = 0.0  # two-sided, between real and generated images
    config.penalty.wgan_gp_one_sided = 0.0
    config.penalty.dragan = 0.0  # about real images
    config.penalty.every = 1  # of these five: once in so many updates of D, as an update of their own, times that
    config.penalty.lecam = 0.0
    config.penalty.lecam_decay = 0.99
    config.penalty.lecam_start_images = 0
    config.penalty.cr = 0.0  # consistency under shifts and mirrors (or diffaugment's policy): of real images
    config.penalty.bcr = 0.0  # of real and generated ones
    config.penalty.zcr_d = 0.0  # of images of near latents, for D ...
    config.penalty.zcr_g = 0.0  # ... and their distance, for G
    config.penalty.zcr_std = 0.03  # how near
    config.penalty.orthogonal = 0.0  # of G's kernels

    config.condition = ConfigDict()
    config.condition.kind = "none"  # projection, acgan: needs data.labels
    config.condition.dropout = 0.0  # share of labels that are hidden from both networks
    config.condition.d_weight = 1.0  # of the class loss of acgan
    config.condition.g_weight = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.g_lr = 2e-4
    config.optimizer.d_lr = 2e-4
    config.optimizer.b1 = 0.5
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8
    config.optimizer.schedule = "constant"  # or linear, cosine: to 0
    config.optimizer.decay_start = 0.0  # share of the run before the fall begins
    config.optimizer.warmup_images = 0
    config.optimizer.clip_norm = 0.0  # global norm of each network's gradient; 0: off

    config.ema = ConfigDict()
    config.ema.half_life_images = 10_000.0
    config.ema.ramp = 0.05  # half-life at most this share of the images seen; 0: off
    config.ema.start_images = 0  # before, the average is the newest generator
    return config


def completed(config: ConfigDict) -> ConfigDict:
    """Return the config with the keys of `defaults` that it lacks: a run's, from before a key was known."""
    whole = defaults(ConfigDict())
    whole.update(ConfigDict(config.to_dict()))
    return whole


class Nets(NamedTuple):
    """What a recipe brings.

    generator(z, label, train=) -> images; discriminator(images, label, train=) -> (logits, features[, class logits]).
    g_mixes, d_mixes: whether images of a batch see each other, by batch norm. d_bounded: whether D's slope is bounded.
    """

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    g_mixes: bool
    d_mixes: bool
    d_bounded: bool = False


def conditioned(config: ConfigDict, discriminator: nn.Module, weight: str) -> nn.Module:
    """Return D with the head that `config.condition.kind` asks for; UserError for an unknown kind, or no labels."""
    kind, sizes = config.condition.kind, sizes_of(config)
    if kind == "none":
        return discriminator
    return {"projection": Projected, "acgan": Classified}[kind](discriminator, sizes, weight)


def sizes_of(config: ConfigDict) -> tuple[int, ...]:
    """Return how many values each attribute of a label has; () without a condition. UserError where labels are off."""
    kind = config.condition.kind
    if kind not in CONDITIONS:
        raise UserError(f"config.condition.kind = {kind!r} is not known{nearest(kind, CONDITIONS)}")
    if kind == "none":
        return ()
    if not config.data.labels:
        raise UserError(
            f"config.condition.kind = {kind!r} needs labels: set --config.data.labels=true (classes "
            "are the sub-folders of data.path)"
        )
    return labels.of(config).sizes


def build(config: ConfigDict, nets: Nets) -> Recipe:
    """Return the recipe of these networks; UserError for what cannot be right, in a sentence."""
    check(config, nets)
    dtype = dtypes(config.precision)[1]
    batch_size, n, parts, total = config.batch_size, config.d_steps, config.accumulate, horizon(config)
    loss = losses.KINDS[config.loss.kind]
    loss = loss(config.loss.label_smoothing) if config.loss.kind in losses.SMOOTHED else loss()
    weights, opt, kind = config.penalty, config.optimizer, config.condition.kind
    gradient = {name: penalty for name, penalty in GRADIENT.items() if weights[name]}
    transform = augment.policy(config.diffaugment)
    consistent = transform if config.diffaugment else augment.shift_and_flip
    known = labels.of(config) if kind != "none" else None
    # A lazy penalty's own update makes k + 1 of k: learning rate and betas are corrected (arXiv 1912.04958, B).
    lazy = weights.every if gradient and weights.every > 1 else 0
    c = lazy / (lazy + 1) if lazy else 1.0

    def rate(value):
        return optim.schedule(opt.schedule, value, total, batch_size, opt.decay_start, opt.warmup_images)

    g_rate, d_rate = rate(opt.g_lr), rate(opt.d_lr)
    updates = n * (1 + 1 / lazy) if lazy else n  # of D, for one of G
    g_tx = optim.adam(g_rate, opt.b1, opt.b2, opt.clip_norm, opt.eps)
    d_tx = optim.adam(lambda count: c * d_rate(count / updates), opt.b1**c, opt.b2**c, opt.clip_norm, opt.eps)

    def latents(key, count):
        return along_batch(jax.random.normal(key, (count, nets.z_dim), dtype))

    def init(key, batch):
        g_key, d_key = jax.random.split(key)
        label = jnp.zeros((1, len(known.sizes)), jnp.int32) if known else None
        g = nets.generator.init(g_key, jnp.zeros((1, nets.z_dim), dtype), label, train=False)
        d = nets.discriminator.init(d_key, jnp.zeros((1, *batch["image"].shape[1:]), dtype), label, train=False)
        extra = {"lecam": jnp.zeros(3)} if weights.lecam else {}  # sums of real and fake logits, and of weights
        return GANState.create(
            TrainState.from_variables(nets.generator.apply, g, g_tx),
            TrainState.from_variables(nets.discriminator.apply, d, d_tx),
            extra,
        )

    def generate(params, mutable, z, label):
        return nets.generator.apply({"params": params, **mutable}, z, label, train=True, mutable=list(mutable))

    def view(image, keys, noise_std):
        """Return what D sees of images: under instance noise (Sonderby et al. 2017, arXiv 1610.04490), augmented."""
        if config.loss.instance_noise:
            draw = jax.vmap(lambda key: jax.random.normal(key, image.shape[1:], image.dtype))
            image = image + noise_std * draw(_use(keys, NOISE))
        return transform(_use(keys, AUGMENT), image)

    def judge(params, mutable, image, label, keys, keep=True):
        """Return (logits, features, class logits or None) and the collections after it."""
        variables, rngs = {"params": params, **mutable}, {"dropout": jax.random.fold_in(keys[0], DROPOUT)}
        out, moved = nets.discriminator.apply(variables, image, label, train=True, mutable=list(mutable), rngs=rngs)
        logits, features, *classes = out
        mutable = moved if keep else mutable
        return (logits, features, classes[0] if classes else None), mutable

    def d_functions(params, mutable, part, noise_std):
        """Return images -> logits, as D sees them and as they are; neither moves D's collections."""
        keys = _use(part["keys"], PENALTY)
        plain = lambda x: judge(params, mutable, x, part["label"], keys, keep=False)[0][0]  # noqa: E731
        return lambda x: plain(view(x, keys, noise_std)), plain

    def gradient_penalty(params, mutable, part, noise_std):
        d_fn, _ = d_functions(params, mutable, part, noise_std)
        keys, terms = jax.vmap(jax.random.fold_in, (0, None))(part["keys"], PENALTY), {}
        for name, penalty in gradient.items():
            terms[f"penalty_{name}"] = weights[name] * penalty(d_fn, part["image"], part["fake"], keys)
        return sum(terms.values()), terms

    def other_penalties(params, mutable, part, noise_std, lecam, images_seen):
        _, plain = d_functions(params, mutable, part, noise_std)
        keys, used = _use(part["keys"], PENALTY), {}
        if weights.lecam:
            started = (images_seen >= weights.lecam_start_images) & (lecam[2] > 0)
            means = lecam[:2] / jnp.maximum(lecam[2], 1e-8)
            used["lecam"] = jnp.where(started, weights.lecam, 0), penalties.lecam(*means)
        if weights.cr:
            used["cr"] = weights.cr, penalties.consistency(consistent)
        if weights.bcr:
            used["bcr"] = weights.bcr, penalties.consistency(consistent, of_fake=True)
        if weights.zcr_d:
            used["zcr"] = weights.zcr_d, penalties.latent_consistency(part["near"])
        return {
            f"penalty_{name}": weight * penalty(plain, part["image"], part["fake"], keys)
            for name, (weight, penalty) in used.items()
        }

    def d_update(d, part, noise_std, count, extra, images_seen):
        """Return D after one update on part["image"] and part["fake"], and what is to be logged."""
        lecam = extra.get("lecam")

        def gradients(part):
            def objective(params):
                # Real and fake pass apart: batch norm gives each statistics of its own.
                keys = _use(part["keys"], REAL), _use(part["keys"], FAKE)
                real, mutable = judge(
                    params, d.mutable, view(part["image"], keys[0], noise_std), part["label"], keys[0]
                )
                fake, mutable = judge(params, mutable, view(part["fake"], keys[1], noise_std), part["label"], keys[1])
                terms = {"d_loss": loss.d(real[0], fake[0])}
                parts = dict(terms)
                if kind == "acgan":
                    classes = [losses.class_loss(out[2], part["label"], known.sizes) for out in (real, fake)]
                    terms["d_class_loss"] = sum(classes) / 2
                    parts["class"] = config.condition.d_weight * terms["d_class_loss"]
                extras = other_penalties(params, d.mutable, part, noise_std, lecam, images_seen)
                if gradient and not lazy:
                    extras |= gradient_penalty(params, d.mutable, part, noise_std)[1]
                terms |= extras | {
                    "d_real": jnp.mean(real[0]),
                    "d_fake": jnp.mean(fake[0]),
                    "d_sign": jnp.mean(jnp.sign(real[0])),
                    "d_sign_fake": jnp.mean(jnp.sign(fake[0])),
                    "d_pairs": jnp.mean(jnp.sign(real[0] - fake[0])),
                    "d_features": _rms(real[1]),
                }
                return sum(parts.values()) + sum(extras.values()), (mutable, terms)

            grads, (mutable, terms) = jax.grad(objective, has_aux=True)(d.params)
            return grads, mutable, terms

        grads, mutable, terms = _accumulated(gradients, part, parts)
        new = d.apply_gradients(grads=grads, mutable=mutable)
        terms["d_grad_norm"] = optax.tree.norm(grads)
        if lazy:

            def own_update(new):
                of_part = lambda part: (  # noqa: E731
                    lambda out: (out[0], {}, out[1])
                )(jax.grad(gradient_penalty, has_aux=True)(new.params, new.mutable, part, noise_std))
                grads, _, logged = _accumulated(of_part, part, parts)
                return new.apply_gradients(grads=jax.tree.map(lambda g: lazy * g, grads)), logged

            none = {f"penalty_{name}": jnp.zeros(()) for name in gradient}
            none = jax.tree.map(lambda z: z.astype(terms["d_loss"].dtype), none)
            new, logged = jax.lax.cond(count % lazy == 0, own_update, lambda new: (new, none), new)
            terms |= jax.tree.map(lambda value: lazy * value, logged)  # its mean over the updates is the penalty
        if weights.lecam:
            moved = jnp.stack([terms["d_real"], terms["d_fake"], jnp.ones_like(terms["d_real"])])
            extra = {
                **extra,
                "lecam": (weights.lecam_decay * lecam + (1 - weights.lecam_decay) * moved).astype(lecam.dtype),
            }
        return new, extra, terms

    def fakes(g, z, label, key):
        """Return the images of D's updates, and those of near latents where they are penalised; no gradient."""
        found = {"fake": generate(g.params, g.mutable, z, label)[0]}
        if weights.zcr_d:
            found["near"] = generate(g.params, g.mutable, _near(z, key, weights.zcr_std), label)[0]
        return found

    def g_update(g, d, part, noise_std, made=None):
        """Return G after one update through D, and what is to be logged; `made` is G's forward, if it was made."""

        def gradients(part):
            make = lambda params: generate(params, g.mutable, part["z"], part["label"])  # noqa: E731
            fake, pull_back, mutable = made or jax.vjp(make, g.params, has_aux=True)
            keys = _use(part["keys"], REAL), _use(part["keys"], FAKE)
            real = None
            if loss.paired or config.loss.feature_matching:
                real, _ = judge(d.params, d.mutable, view(part["image"], keys[0], noise_std), part["label"], keys[0])

            def objective(fake):
                out, _ = judge(d.params, d.mutable, view(fake, keys[1], noise_std), part["label"], keys[1])
                terms = {"g_loss": loss.g(real[0] if real else None, out[0])}
                total = terms["g_loss"]
                if kind == "acgan":
                    terms["g_class_loss"] = losses.class_loss(out[2], part["label"], known.sizes)
                    total += config.condition.g_weight * terms["g_class_loss"]
                if config.loss.feature_matching:
                    terms["g_features_loss"] = losses.feature_matching(real[1], out[1])
                    total += config.loss.feature_matching * terms["g_features_loss"]
                return total, terms

            slope, terms = jax.grad(objective, has_aux=True)(fake)
            (grads,) = pull_back(slope)
            if weights.zcr_g:

                def diversity(params):
                    near = _near(part["z"], part["keys"], weights.zcr_std)
                    pair = [generate(params, g.mutable, z, part["label"])[0] for z in (part["z"], near)]
                    return weights.zcr_g * penalties.latent_diversity(*pair)

                terms["penalty_zcr_g"], more = jax.value_and_grad(diversity)(g.params)
                grads = jax.tree.map(jnp.add, grads, more)
            return grads, mutable, terms

        grads, mutable, terms = _accumulated(gradients, part, parts)
        if weights.orthogonal:
            value, more = jax.value_and_grad(lambda p: weights.orthogonal * penalties.orthogonal(p))(g.params)
            grads, terms["penalty_orthogonal"] = jax.tree.map(jnp.add, grads, more), value
        terms["g_grad_norm"] = optax.tree.norm(grads)
        return g.apply_gradients(grads=grads, mutable=mutable), terms

    def step(state, batch, key):
        g, d, extra = state.generator, state.discriminator, state.extra
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
                    hidden = jax.vmap(lambda k: jax.random.bernoulli(k, config.condition.dropout))(_use(keys, LABEL))
                    shown = jnp.where(hidden[:, None], -1, shown)
                part["label"] = shown
            return part

        if n == 1:
            # D's update does not change G: one forward serves both, and G's gradient is pulled back through it after
            # D has moved.
            part, made = part_of(0), None
            if parts == 1:
                make = lambda params: generate(params, g.mutable, part["z"], part["label"])  # noqa: E731
                made = jax.vjp(make, g.params, has_aux=True)
                more = {"fake": made[0]}
                if weights.zcr_d:
                    more["near"] = fakes(g, part["z"], part["label"], part["keys"])["near"]
            else:
                more = fakes(g, part["z"], part["label"], part["keys"])
            d, extra, terms = d_update(d, {**part, **more}, noise_std, state.step, extra, images_seen)
        else:

            def body(carry, i):
                d, extra = carry
                part = part_of(i)
                part |= fakes(g, part["z"], part["label"], part["keys"])
                d, extra, terms = d_update(d, part, noise_std, state.step * n + i, extra, images_seen)
                return (d, extra), terms

            (d, extra), terms = jax.lax.scan(body, (d, extra), jnp.arange(n))
            terms = jax.tree.map(jnp.mean, terms)
            part, made = part_of(n - 1), None
            part["z"] = latents(jax.random.fold_in(z_key, n), batch_size)
        g, g_terms = g_update(g, d, part, noise_std, made)
        half_life = config.ema.half_life_images
        decay = ema_decay(images_seen + batch_size, batch_size, half_life, config.ema.ramp)
        decay = jnp.where(images_seen < config.ema.start_images, 0.0, decay)
        rates = {"d_lr": d_rate(state.step), "g_lr": g_rate(state.step)}
        sizes = {"d_weights": _rms(d.params), "g_weights": _rms(g.params)}
        ema = update_ema(state.ema, g.variables, decay)
        return GANState(state.step + 1, g, d, ema, extra), {**terms, **g_terms, **sizes, **rates}

    def inputs(key, count, batch=None):
        found = {"z": latents(key, count)}
        if known:
            found["label"] = known.draw(jax.random.fold_in(key, LABEL), count)
        return found

    def sample(variables, key, inputs):
        return nets.generator.apply(variables, inputs["z"], inputs.get("label"), train=False)

    return Recipe(init, step, inputs, sample, n)


def check(config: ConfigDict, nets: Nets) -> None:
    """Refuse in a sentence what cannot be right, naming the key and the way out."""
    kind, weights = config.loss.kind, config.penalty
    if kind not in losses.KINDS:
        raise UserError(f"config.loss.kind = {kind!r} is not known{nearest(kind, losses.KINDS)}")
    if config.loss.label_smoothing and kind not in losses.SMOOTHED:
        raise UserError(f"config.loss.label_smoothing: the loss {kind!r} has no targets to smooth; set it to 0")
    per_image = [name for name in GRADIENT if weights[name]]
    if per_image and nets.d_mixes:
        raise UserError(
            f"config.penalty.{per_image[0]} penalises the slope at each image by itself, and batch norm in the "
            "discriminator mixes the images of a batch: set config.model.discriminator.norm to layer, instance or none"
        )
    if kind == "wasserstein" and not per_image and not nets.d_bounded:
        raise UserError(
            "config.loss.kind = 'wasserstein' grows without bound unless the discriminator's slope is bounded: set "
            "--config.penalty.wgan_gp=10, or a discriminator with spectral normalisation"
        )
    if config.accumulate > 1:
        mixing = [name for name, mixes in (("generator", nets.g_mixes), ("discriminator", nets.d_mixes)) if mixes]
        if config.batch_size % config.accumulate:
            raise UserError(f"config.accumulate = {config.accumulate} must divide batch_size = {config.batch_size}")
        if mixing:
            key = f"config.model.{mixing[0]}.norm"
            way = (
                f"set {key} to layer, instance or none" if "norm" in config.model[mixing[0]] else "take a smaller batch"
            )
            raise UserError(
                f"config.accumulate: batch norm in the {mixing[0]} would see parts of the batch, which is not the "
                f"result of the large batch: {way}"
            )
        if "model" in config and config.model.discriminator.get("dropout"):
            raise UserError("config.accumulate: dropout draws for a whole batch; set model.discriminator.dropout to 0")
        if config.loss.feature_matching:
            raise UserError(
                "config.accumulate: feature_matching needs the means of the whole batch; set one of them off"
            )
    try:
        augment.policy(config.diffaugment)
    except ValueError as error:
        raise UserError(f"config.diffaugment: {error}") from error


def _use(keys: jax.Array, use: int) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, use)


def _near(z: jax.Array, keys: jax.Array, std: float) -> jax.Array:
    draw = jax.vmap(lambda key: jax.random.normal(key, z.shape[1:], z.dtype))
    return z + std * draw(_use(keys, NOISE))


def _rms(tree: Any) -> jax.Array:
    """Return the root mean square of all values."""
    leaves = jax.tree.leaves(tree)
    wide = [leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) for leaf in leaves]
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in wide) / sum(leaf.size for leaf in leaves))


def _accumulated(gradients: Callable, batch: dict, parts: int) -> tuple:
    """Return gradients(batch) -> (grads, mutable, terms), of `parts` parts in turn: means of grads and terms.

    The parts' collections are equal (spectral vectors follow from the weights alone), so the last part's are kept.
    """
    if parts == 1:
        return gradients(batch)
    split = lambda x: jnp.moveaxis(x.reshape(len(x) // parts, parts, *x.shape[1:]), 1, 0)  # noqa: E731
    stacked = jax.tree.map(split, batch)
    first = jax.tree.map(lambda x: x[0], stacked)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(gradients, first))

    def body(carry, part):
        grads, mutable, terms = gradients(part)
        total = jax.tree.map(lambda a, b: a + b / parts, (carry[0], carry[2]), (grads, terms))
        return (total[0], mutable, total[1]), None

    return jax.lax.scan(body, zeros, stacked)[0]
