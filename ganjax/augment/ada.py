"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv 2006.06676, appendix B).

Each operation happens to each image with probability p, so that for p below about 0.8 the distribution of true images
can still be told from that of augmented ones, and G does not learn the augmentation (section 2.2). Pure functions of
(keys, images, p), smooth in the images to any order, with static shapes.
"""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ganjax.augment.corruption import add_noise, amplify, cut_out
from ganjax.augment.draws import BLIT, COLOUR, CORRUPTION, GEOMETRY, Draws
from ganjax.augment.geometry import warp
from ganjax.augment.tones import recolour

GROUPS = {"blit": BLIT, "geometry": GEOMETRY, "color": COLOUR, "corruption": CORRUPTION}
PRESETS = {
    "bgc": (*BLIT, *GEOMETRY, *COLOUR),  # as published, the default there
    "all": (*BLIT, *GEOMETRY, *COLOUR, *CORRUPTION),
    # For paintings: no mirroring (signatures, scripts), no turns, no other hues.
    "paint": ("shift", "scale", "stretch", "move", "brightness", "contrast", "saturation"),
    "palette": ("shift", "scale", "stretch", "move", "cutout"),
}

LEAST = 1e-3  # probability, below which images stay as they are


def operations(text: str) -> dict[str, float]:
    """Return the operations of a policy, such as "bgc" or "blit,scale,color*0.5", with the share of p that is their
    probability. Raises ValueError for an unknown part, or a share outside [0, 1].
    """
    known, chosen = {**PRESETS, **GROUPS, **{name: (name,) for group in GROUPS.values() for name in group}}, {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, share = part.partition("*")
        if name not in known:
            raise ValueError(f"augmentation {name!r} is not one of {', '.join(known)}")
        if not re.fullmatch(r"0?\.[0-9]{1,9}|[01]|", share):
            raise ValueError(f"augmentation {part!r}: a share of p is a number from 0 to 1, such as {name}*0.5")
        chosen |= dict.fromkeys(known[name], float(share or 1))
    return chosen


def policy(text: str) -> Callable:
    """Return (keys (B,), images, p) -> images, float (B, H, W, C) in [-1, 1], of 1, 3 or 4 channels.

    p: the probability of each operation, a scalar in [0, 1]. Colour changes leave alpha as it is; of grey images they
    are brightness, contrast and luma flip. Images of one key get the same changes. Raises ValueError for an unknown
    part of the policy. With p below LEAST nothing is computed: on a CPU a sixth of a step of stylegan2.
    """
    chosen = operations(text)
    steps = [
        (warp, (*BLIT, *GEOMETRY)),
        (recolour, COLOUR),
        (amplify, ("filter",)),
        (add_noise, ("noise",)),
        (cut_out, ("cutout",)),
    ]

    def one(key: jax.Array, image: jax.Array, p: jax.Array) -> jax.Array:
        for i, (step, names) in enumerate(steps):
            if own := tuple(name for name in names if name in chosen):
                image = step(Draws(jax.random.fold_in(key, i), p, image.dtype, chosen), image, own)
        return image

    def apply(keys: jax.Array, images: jax.Array, p: float | jax.Array) -> jax.Array:
        p = jnp.asarray(p, images.dtype)
        return jax.lax.cond(p < LEAST, lambda: images, lambda: jax.vmap(one, (0, 0, None))(keys, images, p))

    return apply
