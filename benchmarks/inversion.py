"""How near `project` comes: to samples of the model itself, and to pictures that it has not seen.

python benchmarks/inversion.py --workdir=RUN [--folder=PICTURES] [--plus] [--num=20] [--steps=200] [--starts=2]

Prints the PSNR of each picture in dB, and the mean distance (features and pixels, of the code without noise) at equal
marks of the way. The samples are of another seed than those at which the search begins.
"""

import argparse
import itertools

import numpy as np

import ganjax
from ganjax.inference import projected_files
from ganjax.inference.latents import Space
from ganjax.inference.projection import PERCEPTUAL, Projector
from ganjax.metrics.statistics.similarity import psnr

SEED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--folder", help="pictures in place of the model's own samples; the first `num` by name")
    parser.add_argument("--plus", action="store_true")
    parser.add_argument("--num", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--pixels", type=float, default=1.0)
    parser.add_argument("--perceptual", choices=PERCEPTUAL, default="lite0")
    options = parser.parse_args()

    space = Space(ganjax.load(options.workdir))
    if options.folder:
        found = projected_files.targets(projected_files.source(options.folder, space, "--folder"), space)
        pictures = [target.image for target in itertools.islice(found, options.num)]
    else:
        pictures = space.render(space.draw(options.num, SEED))
    projector = Projector(space, options.steps, options.plus, options.pixels, options.perceptual)
    ratios, ways = [], []
    for i, picture in enumerate(pictures):
        found = projector(picture, options.starts)
        ratios.append(float(psnr(*((x[None] + 1) * 127.5 for x in (found.image, picture)))[0]))
        ways.append(found.distances)
        print(f"{i + 1:3d}  {ratios[-1]:5.1f} dB  distance {found.distances[0]:.4f} -> {found.distances[-1]:.4f}")
    print(f"PSNR: least {min(ratios):.1f}, median {np.median(ratios):.1f} dB; at least 30 dB: "
          f"{sum(ratio >= 30 for ratio in ratios)} of {len(ratios)}")  # fmt: skip
    print("mean distance at equal marks: " + " ".join(f"{x:.4f}" for x in np.mean(ways, 0)))


if __name__ == "__main__":
    main()
