"""Modes of Stacked MNIST by loss and penalty: one seed, 200,000 images per run, a DCGAN without batch norm in D.

python launch.py sweep --config=stacked_mnist --workdir=runs/stacked --config.data.path=MNIST

MNIST holds t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or .gz. docs/stability.md has the results, beside
published ones of far larger budgets.
"""


def get_sweep() -> dict:
    both = {"penalty.r1": 1.0, "penalty.r2": 1.0}
    return {
        "config": "dcgan",
        "base": {
            "data.name": "stacked_mnist",
            "data.split": "test",
            "data.labels": True,
            "data.resolution": 28,
            "augment.flip": False,
            "total_images": 200_000,
            "model.generator.width": 32,
            "model.discriminator.width": 32,
            "model.discriminator.norm": "none",
            "checkpoint.every_images": 100_000,
        },
        "points": {
            "non_saturating": {"loss.kind": "non_saturating"},
            "non_saturating+r1": {"loss.kind": "non_saturating", "penalty.r1": 1.0},
            "non_saturating+r1+r2": {"loss.kind": "non_saturating", **both},
            "relativistic": {"loss.kind": "relativistic"},
            "relativistic+r1+r2": {"loss.kind": "relativistic", **both},
            "wasserstein+wgan_gp": {"loss.kind": "wasserstein", "penalty.wgan_gp": 10.0},
        },
        "seeds": (0,),
        "metrics": ("modes", "modes.kl", "modes.accuracy"),
        "num": 26_000,
    }
