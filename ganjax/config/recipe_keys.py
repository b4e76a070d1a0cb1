"""The keys of single recipes, by recipe name. A recipe that is not listed here may have any keys."""

from ganjax.config.game_keys import weight
from ganjax.config.key import MANY, NETWORK, Group, Key


def _size(default: int, doc: str) -> Key:
    return Key(default, doc, low=1, high=NETWORK)


NORM = Key("batch", "normalisation of the layers", choices=("batch", "layer", "instance", "pixel", "none"))
DROPOUT = Key(0.0, "dropout rate in training", low=0, high=1)
SLOPE = Key(0.0, "slope of the leaky ReLU below 0")
Z_DIM = Key(128, "size of a latent, above 0")
HEADS = _size(256, "size of a patch's embedding")

DCGAN_NET: Group = {
    "width": Key(64, "channels of the layer next to the images; each further layer has twice as many"),
    "widths": Key((), "channels of each layer; (): derived from `width` and the resolution", parts=int),
    "max_width": _size(1024, "largest number of channels of a layer"),
    "norm": NORM,
}
DCGAN: Group = {
    "model": {
        "z_dim": Z_DIM,
        "init": Key("normal", "initialisation of the kernels: N(0, 0.02), or xavier", choices=("normal", "xavier")),
        "generator": {
            **DCGAN_NET,
            "slope": SLOPE,
            "head_kernel": Key(
                0, "kernel size of a final convolution that outputs the image; 0: none", low=0, high=NETWORK
            ),
        },
        "discriminator": {**DCGAN_NET, "slope": SLOPE._replace(default=0.2), "dropout": DROPOUT},
    }
}

FACTOR = Key(1.0, "factor of all widths, above 0", low=0, high=NETWORK)
G_WIDTHS = Key((), "channels of the base grid and of each block; a block doubles the resolution", parts=int)
D_WIDTHS = Key((), "channels of each block", parts=int)
DOWNS = Key(2, "number of first blocks that halve the resolution", low=0, high=NETWORK)
WEIGHT = Key("spectral", "weight normalisation of the layers", choices=("spectral", "none", "equalized"))
HIDDEN = Key("out", "channels inside a block: those of its output or of its input", choices=("out", "in"))
ATTENTION = Key((), "indices, from 0, of the blocks that self-attention follows", parts=int)


def _resnets(generator: Group, discriminator: Group) -> Group:
    """Return the keys of a recipe of residual networks, whose generator and discriminator have these further keys."""
    generator = {"widths": G_WIDTHS, **generator}
    discriminator = {"widths": D_WIDTHS, "downs": DOWNS, **discriminator}
    return {"model": {"z_dim": Z_DIM, "width": FACTOR, "generator": generator, "discriminator": discriminator}}


SHARED = Key(128, "size of the class embedding that all blocks share", low=0, high=NETWORK)

PATCH_GAN: Group = {
    "width": _size(64, "channels of the first layer; each next layer has twice as many, up to 8 times"),
    "layers": Key(3, "convolutions of stride 2; with 3, D judges patches of 70 pixels", low=0, high=NETWORK),
    "scales": _size(1, "number of discriminators, each at half the resolution of the one before"),
}
RESIDUAL: Group = {
    "width": _size(64, "channels of the first layer"),
    "blocks": Key(9, "number of residual blocks", low=0, high=NETWORK),
}
CYCLEGAN: Group = {
    "model": {"generator": RESIDUAL, "discriminator": PATCH_GAN},
    "loss": {
        "cycle": weight(10.0, "weight of cycle consistency, |G_ba(G_ab(a)) - a| and the same of b"),
        "identity": weight(5.0, "weight of the identity loss |G(b) - b|: images of the target domain stay as they are"),
    },
    "pool": Key(50, "size of the pool of earlier generated images that D sees; 0: none", low=0, high=1_000_000),
}
CUT: Group = {
    "model": {"generator": RESIDUAL, "discriminator": PATCH_GAN, "heads": HEADS},
    "loss": {
        "nce": weight(1.0, "weight of PatchNCE: patches of G(a) match those of a"),
        "nce_identity": Key(True, "also match patches of G(b) to those of b"),
        "mirror": Key(
            0.0, "share of images that are flipped for G; patches are matched in the flipped places", low=0, high=1
        ),  # fmt: skip
    },
}
SINCUT: Group = {
    "model": {
        "generator": RESIDUAL,
        "discriminator": {
            "width": _size(32, "channels of the first layer; each next layer has twice as many"),
            "most": _size(384, "largest number of channels of a layer"),
        },
        "heads": HEADS,
    },
    "loss": {
        "nce": weight(4.0, "weight of PatchNCE: patches of G(a) match those of a"),
        "identity": weight(1.0, "weight of the identity loss |G(b) - b|: images of the target domain stay as they are"),
        "r1": weight(1.0, "weight of R1, half the squared gradient norm of D at real images", schedule=True),
    },
}
PIX2PIX: Group = {
    "model": {
        "generator": {
            "depth": Key(0, "convolutions of stride 2; 0: down to one pixel", low=0, high=NETWORK),
            "width": _size(64, "channels of the first layer; each next layer has twice as many, up to 8 times"),
            "dropout": DROPOUT._replace(default=0.5),
        },
        "discriminator": {**PATCH_GAN, "norm": NORM._replace(default="instance")},
    },
    "loss": {
        "l1": weight(100.0, "weight of the L1 loss |G(a) - b|"),
        "feature_matching": weight(0.0, "weight of the distance between D's features of G(a) and of b"),
    },
}

PROJECTED: Group = {
    "model": {
        "z_dim": Z_DIM._replace(default=256),
        "generator": {
            "width": _size(128, "channels of the layer of 128 pixels; smaller layers have up to 16 times more"),
            "blocks": Key(
                "light",
                "light: one convolution in each block; double: two, and noise; alternate: by turns, as in FastGAN",
                choices=("light", "double", "alternate"),
            ),
        },
        "discriminator": {
            "side": Key(
                0,
                "pixels of the shorter side of images as D's frozen network sees them; 0: as images have, at least 96",
                low=0,
                high=2048,
            ),
            "width": _size(64, "channels of the finest map that D judges; coarser maps have up to 4 times more"),
        },
    },
    "loss": {
        "blur": Key(0.0, "standard deviation, in pixels, of a blur of all that D sees", low=0, high=2, schedule=True)
    },
}

FASTGAN: Group = {
    "model": {
        "z_dim": Z_DIM._replace(default=256),
        "generator": {
            "width": _size(64, "channels of the layer of 128 pixels; smaller layers have up to 16 times more"),
            "blocks": PROJECTED["model"]["generator"]["blocks"]._replace(default="alternate"),
        },
        "discriminator": {"width": _size(64, "channels at 64 pixels; smaller layers have up to 8 times more")},
    },
    "loss": {
        "margin_noise": Key(0.2, "the hinge loss's margins are U(1 - this, 1)", low=0, high=1),
        "reconstruction": weight(
            8.0, "weight in D's loss of the distance of its decoders' images to the real ones: three means over a batch"
        ),
        "perceptual": Key(
            "lite0", "that distance: in features of EfficientNet-Lite0, or LPIPS (VGG)", choices=("lite0", "lpips_vgg")
        ),
    },
}

R3GAN: Group = {
    "model": {
        "z_dim": Z_DIM._replace(default=64),
        "width": _size(
            768, "channels up to 32 pixels, half as many at each doubling above; divisible by the group's half"
        ),
        "group": _size(16, "channels of a group of the 3x3 convolutions"),
    },
}

STYLEGAN2: Group = {
    "model": {
        "z_dim": Z_DIM._replace(default=512),
        "w_dim": _size(512, "size of w, to which the mapping network maps a latent"),
        "mapping": _size(8, "layers of the mapping network"),
        "channels": _size(32768, "channels of a layer times its resolution, at most `most` channels"),
        "most": _size(512, "largest number of channels of a layer"),
        "mixing": Key(0.9, "share of images whose layers follow two latents, in training", low=0, high=1),
        "discriminator": {
            "group": _size(4, "images whose standard deviation D sees; 1: none"),
            "residual": Key(True, "whether D's blocks have shortcuts"),
        },
    },
    "penalty": {
        "path_length": weight(0.0, "weight of the path length regularisation of G; 2 as published"),
        "path_every": Key(4, "it applies every N-th update of G, as a separate update scaled by N", low=1, high=MANY),
        "path_decay": Key(0.01, "share by which the mean length moves", low=0, high=1),
    },
}

SINGAN: Group = {
    "model": {
        "smallest": Key(25, "pixels of the shorter side of the coarsest scale", low=11, high=NETWORK),
        "factor": Key(0.75, "ratio of neighbouring scales, or a little more", low=0.1, high=0.95),
        "noise": weight(0.1, "noise of a scale over the error of the enlarged reconstruction by the coarser scale"),
        "generator": {"width": _size(32, "features of the first four scales; each next four have twice as many")},
        "discriminator": {"width": _size(32, "features of the first four scales; each next four have twice as many")},
    },
}

NOISE_RECIPES: dict[str, Group] = {
    "dcgan": DCGAN,
    "sngan": _resnets({}, {"weight": WEIGHT, "hidden": HIDDEN}),
    "wgan_gp": _resnets({}, {"weight": WEIGHT}),
    "sagan": _resnets({"attention": ATTENTION}, {"attention": ATTENTION}),
    "biggan": _resnets({"attention": ATTENTION, "shared": SHARED}, {"attention": ATTENTION}),
    "projected": PROJECTED,
    "fastgan": FASTGAN,
    "r3gan": R3GAN,
    "r3gan2": R3GAN,
    "stylegan2": STYLEGAN2,
}
IMAGE_RECIPES: dict[str, Group] = {"cyclegan": CYCLEGAN, "cut": CUT, "pix2pix": PIX2PIX, "sincut": SINCUT}
SINGLE_RECIPES: dict[str, Group] = {"singan": SINGAN}
RECIPES = {**NOISE_RECIPES, **IMAGE_RECIPES, **SINGLE_RECIPES}
