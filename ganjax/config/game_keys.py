"""The keys of the engine, and of the two families of recipes: images from noise, and images from images."""

from typing import Any, NamedTuple

from ganjax.config.key import IMAGES, LARGEST, MANY, Group, Key


def weight(default: float, doc: str, schedule: bool = False) -> Key:
    """Return the key of a weight, or of a rate: any number from 0."""
    return Key(default, doc, low=0, high=LARGEST, schedule=schedule)


def penalty(doc: str) -> Key:
    """Return the key of a penalty's weight, 0 by default, for which a schedule may stand."""
    return weight(0.0, doc, schedule=True)


ENGINE: Group = {
    "accumulate": Key(1, "parts of a batch, one after the other: less memory, the same result", low=1, high=MANY),
    "optimizer": {
        "g_lr": weight(2e-4, "Adam's learning rate of G", schedule=True),
        "d_lr": weight(2e-4, "Adam's learning rate of D", schedule=True),
        # 1 divides by 0
        "b1": Key(0.5, "Adam's decay of the mean of gradients", low=0, high=0.999999, schedule=True),
        "b2": Key(0.999, "Adam's decay of the mean of squared gradients", low=0, high=0.999999, schedule=True),
        "eps": Key(1e-8, "Adam's epsilon", low=0, high=1),
        "schedule": Key(
            "constant",
            "how both rates fall to 0; constant if one of them is a schedule",
            choices=("constant", "linear", "cosine"),
        ),
        "decay_start": Key(0.0, "share of the run before optimizer.schedule begins", low=0, high=1),
        "warmup_images": Key(0, "images over which both rates rise from 0", low=0, high=IMAGES),
        "clip_norm": weight(0.0, "clip the global norm of each network's gradient to this; 0: off"),
    },
    "ema": {
        "half_life_images": Key(
            10_000.0, "half-life of the average of G's weights; 0: off", low=0, high=IMAGES, schedule=True
        ),
        "ramp": Key(0.05, "the half-life is at most this share of the images seen; 0: off", low=0, high=1),
        "start_images": Key(
            0, "images before the average begins; until then it is the newest generator", low=0, high=IMAGES
        ),
    },
}

PENALTY: Group = {
    "r1": penalty("weight of R1, half the squared slope of D at real images"),
    "r2": penalty("weight of R2, half the squared slope of D at generated images"),
    "wgan_gp": penalty("weight of WGAN-GP, which holds D's slope between real and generated images at 1"),
    "wgan_gp_one_sided": penalty("weight of WGAN-GP against slopes above 1 alone"),
    "dragan": penalty("weight of DRAGAN, which holds D's slope about real images at 1"),
    "every": Key(
        1,
        "r1, r2, dragan and both wgan_gp apply every N-th update of D, as a separate update scaled by N",
        low=1,
        high=1_000_000,
    ),
    "lecam": penalty("weight of LeCam, which holds D's logits near the moving mean of the other kind of images"),
    "lecam_decay": Key(0.99, "decay of LeCam's moving means at each update", low=0, high=0.9999),
    "lecam_start_images": Key(0, "images before LeCam begins", low=0, high=IMAGES),
    "cr": penalty("weight of D's consistency under shifts and mirrors, or diffaugment, of real images"),
    "bcr": penalty("weight of D's consistency under shifts and mirrors, or diffaugment, of all images"),
    "zcr_d": penalty("weight of D's consistency on images of near latents"),
    "zcr_g": penalty("weight of the distance of G's images of near latents"),
    "zcr_std": weight(0.03, "standard deviation by which the near latents of zcr_d and zcr_g differ"),
    "orthogonal": penalty("weight of the orthogonality of G's kernels"),
}


class Family(NamedTuple):
    """What recipes of one kind share: their keys, and {flat key: value} where a default is another than the key's."""

    keys: Group
    values: dict[str, Any]


FROM_NOISE = Family(
    {
        "d_steps": Key(1, "updates of D for each of G, each on a batch of its own", low=1, high=1_000_000),
        "diffaugment": Key("", "augmentation of all that D sees, as color,translation,cutout, or full, palette, paint"),
        **ENGINE,
        "loss": {
            "kind": Key(
                "non_saturating",
                "the adversarial loss",
                choices=("non_saturating", "saturating", "least_squares", "hinge", "wasserstein", "relativistic"),
            ),
            "label_smoothing": Key(0.0, "the target of real images is 1 minus this", low=0, high=0.5),
            "instance_noise": weight(
                0.0, "std of noise on all that D sees; a number falls to 0 over the run's schedule", schedule=True
            ),
            "feature_matching": weight(0.0, "weight, in G's loss, of the distance of D's mean features"),
        },
        "penalty": PENALTY,
        "condition": {
            "kind": Key(
                "none",
                "how both networks learn data.labels: projection, or acgan, a class head",
                choices=("none", "projection", "acgan"),
            ),
            "dropout": Key(0.0, "share of labels that are hidden from both networks", low=0, high=1),
            "d_weight": weight(1.0, "weight of acgan's class loss in D's loss"),
            "g_weight": weight(0.1, "weight of acgan's class loss in G's loss"),
        },
    },
    {},
)

DAMAGE: Group = {
    "kinds": Key(
        (),
        "what makes A of B, of ganjax/augment/damage.py: random in training, else fixed",
        parts=str,
    ),
    "chance": Key(0.7, "chance of each kind of damage, for each image", low=0, high=1),
}

FROM_IMAGES = Family(
    {
        **ENGINE,
        "loss": {
            "kind": Key(
                "least_squares",
                "the adversarial loss; non_saturating is cross-entropy",
                choices=("least_squares", "hinge", "non_saturating"),
            ),
            "content": weight(0.0, "weight of what a translation keeps of its source, beside the recipe's own terms"),
            "content_kind": Key(
                "structure",
                "what loss.content keeps: structure (brightness, contrast and colours are free) or pooled",
                choices=("structure", "pooled"),
            ),
        },
    },
    {
        "task": "translate",
        "batch_size": 1,
        "report.grid": 8,
        "report.every_images": 500,
        "report.samples_every_images": 5_000,
        "optimizer.schedule": "linear",
        "optimizer.decay_start": 0.5,
        "ema.half_life_images": 1_000.0,
    },
)

FROM_DAMAGE = Family({**FROM_IMAGES.keys, "damage": DAMAGE}, {**FROM_IMAGES.values, "task": "restore"})
