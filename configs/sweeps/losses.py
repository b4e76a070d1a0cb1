"""Losses with and without R1 + R2, on a folder of images at 32x32: 18 short runs of a DCGAN without batch norm in D.

python launch.py sweep --config=losses --workdir=runs/losses --config.data.path=FOLDER

A run of 60,000 images without penalties takes 40 seconds on 2 CPU cores (KaoKore), including its metrics.
"""


def get_sweep() -> dict:
    points = {}
    for kind in ("non_saturating", "hinge", "relativistic"):
        points[kind] = {"loss.kind": kind}
        points[f"{kind}+r1+r2"] = {"loss.kind": kind, "penalty.r1": 1.0, "penalty.r2": 1.0}
    return {
        "config": "dcgan32",
        "base": {
            "total_images": 60_000,
            "model.generator.width": 32,
            "model.discriminator.width": 32,
            "model.discriminator.norm": "none",
        },
        "points": points,
        "seeds": (0, 1, 2),
        "metrics": ("rand_fd", "swd", "msssim"),
        "num": 1000,
    }
