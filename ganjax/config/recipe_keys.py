"""The keys that recipes have of their own, by a recipe's name. A recipe that is not here may have any keys."""

from ganjax.config.game_keys import weight
from ganjax.config.key import NETWORK, Group, Key


def _size(default: int, doc: str) -> Key:
    return Key(default, doc, low=1, high=NETWORK)


NORM = Key("batch", "normalisation of the layers", choices=("batch", "layer", "instance", "pixel", "none"))
DROPOUT = Key(0.0, "share of values that are dropped while training", low=0, high=1)
SLOPE = Key(0.0, "slope of the leaky ReLU below 0")
Z_DIM = Key(128, "values of a latent, above 0")
HEADS = _size(256, "values of a patch's vector")

DCGAN_NET: Group = {
    "width": Key(64, "width of the layer next to the images; each further one is twice as wide"),
    "widths": Key((), "width of each layer; (): as `width` and the resolution say", parts=int),
    "max_width": _size(1024, "most that a layer's width grows to"),
    "norm": NORM,
}
DCGAN: Group = {
    "model": {
        "z_dim": Z_DIM,
        "init": Key("normal", "how kernels are drawn: N(0, 0.02), or xavier", choices=("normal", "xavier")),
        "generator": {
            **DCGAN_NET,
            "slope": SLOPE,
            "head_kernel": Key(0, "side of a last convolution, which gives the image; 0: none", low=0, high=NETWORK),
        },
        "discriminator": {**DCGAN_NET, "slope": SLOPE._replace(default=0.2), "dropout": DROPOUT},
    }
}

FACTOR = Key(1.0, "factor of all widths, above 0", low=0, high=NETWORK)
G_WIDTHS = Key((), "width of the base grid and of each block, which doubles the side", parts=int)
D_WIDTHS = Key((), "width of each block", parts=int)
DOWNS = Key(2, "blocks, the first ones, that halve the side", low=0, high=NETWORK)
WEIGHT = Key("spectral", "how each layer's kernel is normalised", choices=("spectral", "none", "equalized"))
HIDDEN = Key("out", "whether a block's middle is as wide as its output or its input", choices=("out", "in"))
ATTENTION = Key((), "blocks, from 0, that self-attention follows", parts=int)


def _resnets(generator: Group, discriminator: Group) -> Group:
    """Return the keys of residual nets whose blocks have further keys."""
    generator = {"widths": G_WIDTHS, **generator}
    discriminator = {"widths": D_WIDTHS, "downs": DOWNS, **discriminator}
    return {"model": {"z_dim": Z_DIM, "width": FACTOR, "generator": generator, "discriminator": discriminator}}


SHARED = Key(128, "values of the class embedding that all blocks share", low=0, high=NETWORK)

PATCH_GAN: Group = {
    "width": _size(64, "width of the first layer; each next is twice as wide, up to 8 times"),
    "layers": Key(3, "convolutions that halve the side; after 3, D judges patches of 70 pixels", low=0, high=NETWORK),
    "scales": _size(1, "discriminators, each at half the size of the one before"),
}
RESIDUAL: Group = {
    "width": _size(64, "width of the first layer"),
    "blocks": Key(9, "residual blocks", low=0, high=NETWORK),
}
CYCLEGAN: Group = {
    "model": {"generator": RESIDUAL, "discriminator": PATCH_GAN},
    "loss": {
        "cycle": weight(10.0, "weight of the way there and back"),
        "identity": weight(5.0, "weight of |G(b) - b|: what is already in the target's set stays"),
    },
    "pool": Key(50, "earlier images that D is shown again; 0: none", low=0, high=1_000_000),
}
CUT: Group = {
    "model": {"generator": RESIDUAL, "discriminator": PATCH_GAN, "heads": HEADS},
    "loss": {
        "nce": weight(1.0, "weight of PatchNCE: patches of G(a) match those of a"),
        "nce_identity": Key(True, "also match patches of G(b) to those of b"),
        "mirror": Key(
            0.0, "share of images that G sees mirrored, and whose patches must match all the same", low=0, high=1
        ),  # fmt: skip
    },
}
SINCUT: Group = {
    "model": {
        "generator": RESIDUAL,
        "discriminator": {
            "width": _size(32, "width of the first layer; each next is twice as wide"),
            "most": _size(384, "most that a layer's width grows to"),
        },
        "heads": HEADS,
    },
    "loss": {
        "nce": weight(4.0, "weight of PatchNCE: patches of G(a) match those of a"),
        "identity": weight(1.0, "weight of |G(b) - b|: what is already in the target's set stays"),
        "r1": weight(1.0, "weight of R1, half the squared slope of D at real images", schedule=True),
    },
}
PIX2PIX: Group = {
    "model": {
        "generator": {
            "depth": Key(0, "convolutions that halve the side; 0: down to one pixel", low=0, high=NETWORK),
            "width": _size(64, "width of the first layer; each next is twice as wide, up to 8 times"),
            "dropout": DROPOUT._replace(default=0.5),
        },
        "discriminator": {**PATCH_GAN, "norm": NORM._replace(default="instance")},
    },
    "loss": {
        "l1": weight(100.0, "weight of |G(a) - b|"),
        "feature_matching": weight(0.0, "weight of the distance of D's features of G(a) and b"),
    },
}

NOISE_RECIPES: dict[str, Group] = {
    "dcgan": DCGAN,
    "sngan": _resnets({}, {"weight": WEIGHT, "hidden": HIDDEN}),
    "wgan_gp": _resnets({}, {"weight": WEIGHT}),
    "sagan": _resnets({"attention": ATTENTION}, {"attention": ATTENTION}),
    "biggan": _resnets({"attention": ATTENTION, "shared": SHARED}, {"attention": ATTENTION}),
}
IMAGE_RECIPES: dict[str, Group] = {"cyclegan": CYCLEGAN, "cut": CUT, "pix2pix": PIX2PIX, "sincut": SINCUT}
RECIPES = {**NOISE_RECIPES, **IMAGE_RECIPES}
