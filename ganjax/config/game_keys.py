"""The keys of the engine, and of the two families of recipes: images from noise, and images from images."""

from typing import Any, NamedTuple

from ganjax.config.key import IMAGES, LARGEST, MANY, Group, Key


def weight(default: float, doc: str, schedule: bool = False) -> Key:
    """Return the key of a weight or a rate, a number of at least 0."""
    return Key(default, doc, low=0, high=LARGEST, schedule=schedule)


def penalty(doc: str) -> Key:
    """Return the key of a penalty's weight, 0 by default, which a schedule may replace."""
    return weight(0.0, doc, schedule=True)


ENGINE: Group = {
    "freeze": Key(
        (),
        "beginnings of names of arrays that are not trained, such as discriminator.map_0 (FreezeD)",
        parts=str,
    ),
    "accumulate": Key(
        1, "parts of a batch whose gradients are accumulated: less memory, the same result", low=1, high=MANY
    ),
    "optimizer": {
        "g_lr": weight(2e-4, "Adam's learning rate of G", schedule=True),
        "d_lr": weight(2e-4, "Adam's learning rate of D", schedule=True),
        # A decay of 1 would divide by 0.
        "b1": Key(0.5, "Adam's decay of the mean of gradients", low=0, high=0.999999, schedule=True),
        "b2": Key(0.999, "Adam's decay of the mean of squared gradients", low=0, high=0.999999, schedule=True),
        "eps": Key(1e-8, "Adam's epsilon", low=0, high=1),
        "schedule": Key(
            "constant",
            "decay of both learning rates to 0; must be constant if one of them is a schedule",
            choices=("constant", "linear", "cosine"),
        ),
        "decay_start": Key(0.0, "share of the run before optimizer.schedule begins", low=0, high=1),
        "warmup_images": Key(0, "images over which both learning rates rise linearly from 0", low=0, high=IMAGES),
        "clip_norm": weight(0.0, "largest global norm of each network's gradient, which is clipped to it; 0: off"),
    },
    "ema": {
        "half_life_images": Key(
            10_000.0,
            "half-life, in images, of the moving average of G's weights; 0: off",
            low=0,
            high=IMAGES,
            schedule=True,
        ),
        "ramp": Key(0.05, "the half-life is at most this share of the images seen; 0: off", low=0, high=1),
        "start_images": Key(
            0, "images before averaging begins; until then the average equals the newest weights", low=0, high=IMAGES
        ),
    },
}

PENALTY: Group = {
    "r1": penalty("weight of R1, half the squared gradient norm of D at real images"),
    "r2": penalty("weight of R2, half the squared gradient norm of D at generated images"),
    "wgan_gp": penalty("weight of WGAN-GP: D's gradient norm between real and generated images is kept at 1"),
    "wgan_gp_one_sided": penalty("weight of WGAN-GP that penalises only gradient norms above 1"),
    "dragan": penalty("weight of DRAGAN: D's gradient norm around real images is kept at 1"),
    "every": Key(
        1,
        "r1, r2, dragan and both wgan_gp apply every N-th update of D, as a separate update scaled by N",
        low=1,
        high=1_000_000,
    ),
    "lecam": penalty("weight of LeCam: real logits stay near the moving mean of fake logits, and vice versa"),
    "lecam_decay": Key(0.99, "decay of LeCam's moving means at each update", low=0, high=0.9999),
    "lecam_start_images": Key(0, "images before LeCam begins", low=0, high=IMAGES),
    "cr": penalty("weight of CR: D's logits of real images are kept under shifts and flips, or under diffaugment"),
    "bcr": penalty("weight of bCR: as cr, for real and generated images"),
    "zcr_d": penalty("weight of zCR in D's loss: D's logits of images from nearby latents are kept alike"),
    "zcr_g": penalty("weight of zCR in G's loss: images from nearby latents are driven apart"),
    "zcr_std": weight(0.03, "standard deviation of the noise between the nearby latents of zcr_d and zcr_g"),
    "cdc": penalty(
        "weight of CDC in G's loss: images stay as alike as by the generator of init_from; 1000 as published"
    ),
    "orthogonal": penalty("weight of the orthogonal regularisation of G's kernels"),
}


class Family(NamedTuple):
    """A family of recipes: the keys that they share, and {flat key: value} of defaults that differ from the keys'."""

    keys: Group
    values: dict[str, Any]


FROM_NOISE = Family(
    {
        "d_steps": Key(1, "updates of D per update of G, each on its own batch", low=1, high=1_000_000),
        "latent": Key(
            "normal",
            "distribution of the latents: N(0, 1), U(-1, 1), or the sphere of radius sqrt(z_dim)",
            choices=("normal", "uniform", "sphere"),
        ),
        "diffaugment": Key("", "DiffAugment of all that D sees: color,translation,cutout or full, palette, paint"),
        "ada": {
            "policy": Key(
                "",
                "ADA's operations on all that D sees: bgc, as published, or paint, palette; color*0.5: at half of p",
            ),
            "p": Key(
                0.0,
                "probability of each operation; at the start, if ada.target is above 0",
                low=0,
                high=1,
                schedule=True,
            ),
            "target": Key(
                0.6, "mean sign of D's logits on real images that p is to keep; 0: p is ada.p", low=0, high=1
            ),
            "images": Key(500_000, "images over which p can rise from 0 to 1", low=1, high=IMAGES),
            "most": Key(0.8, "largest p; from there on G learns the augmentation", low=0, high=1),
            "paired": Key(False, "whether the n-th real and generated image of a batch share one draw"),
        },
        **ENGINE,
        "loss": {
            "kind": Key(
                "non_saturating",
                "the adversarial loss",
                choices=("non_saturating", "saturating", "least_squares", "hinge", "wasserstein", "relativistic"),
            ),
            "label_smoothing": Key(0.0, "one-sided: the target of real images is 1 minus this", low=0, high=0.5),
            "instance_noise": weight(
                0.0, "standard deviation of noise on all that D sees; a number decays to 0 over the run", schedule=True
            ),
            "feature_matching": weight(
                0.0, "weight in G's loss of the distance between D's mean features of real and generated images"
            ),
        },
        "penalty": PENALTY,
        "condition": {
            "kind": Key(
                "none",
                "how both networks use data.labels: projection, or acgan, a class head",
                choices=("none", "projection", "acgan"),
            ),
            "dropout": Key(0.0, "share of labels that are hidden from both networks", low=0, high=1),
            "d_weight": weight(1.0, "weight of acgan's class loss in D's loss"),
            "g_weight": weight(0.1, "weight of acgan's class loss in G's loss"),
        },
    },
    {},
)

FROM_ONE = Family(
    {
        "optimizer": {
            "g_lr": weight(5e-4, "Adam's learning rate of G"),
            "d_lr": weight(5e-4, "Adam's learning rate of D"),
            "b1": Key(0.5, "Adam's decay of the mean of gradients", low=0, high=0.999999),
            "b2": Key(0.999, "Adam's decay of the mean of squared gradients", low=0, high=0.999999),
            "eps": Key(1e-8, "Adam's epsilon", low=0, high=1),
            "drop_after": Key(0.8, "share of a scale's steps after which its rates are a tenth", low=0, high=1),
        },
        "loss": {
            "wgan_gp": weight(0.1, "weight of WGAN-GP: D's gradient at a pixel is kept at a length of 1"),
            "reconstruction": weight(10.0, "weight in G's loss of the squared error of the picture from a fixed noise"),
        },
    },
    {
        "task": "single",
        "batch_size": 1,
        "augment.flip": False,
        "report.grid": 16,
        "report.every_images": 100,
        "report.samples_every_images": 1_000,
        "checkpoint.every_images": 1_000,
    },
)

DAMAGE: Group = {
    "kinds": Key(
        (),
        "kinds of damage that turn B into A (ganjax/augment/damage.py): random in training, fixed elsewhere",
        parts=str,
    ),
    "chance": Key(0.7, "probability of each kind of damage, for each image", low=0, high=1),
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
            "content": weight(0.0, "weight of a content loss between a translation and its source"),
            "content_kind": Key(
                "structure",
                "the content loss: structure (brightness, contrast and colours are free) or pooled",
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
