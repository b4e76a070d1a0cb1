"""Make docs/singan.jpg: a picture, nine variations of it by SinGAN, and two that are wider.

python docs/singan.py WORKDIR

The run: python launch.py train --config=singan --config.data.path=a619072f82.jpg --workdir=WORKDIR, of monet2photo. The
samples are the first of seed 0; none was left out.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ganjax
from ganjax import data
from ganjax.augment import transforms
from ganjax.config.derived import size
from ganjax.report import grid

WIDE = 260


def main(workdir: str) -> None:
    model = ganjax.load(workdir)
    picture = data.open_table(model.config.data).images
    height, width = size(model.config)
    rows = [("Monet, and nine samples", np.concatenate([transforms.normalise(picture), model.sample(9)]))]
    sheets = [grid.sheet(rows, 5), grid.sheet([(f"{height}x{WIDE}", model.sample(2, size=(height, WIDE)))], 2)]
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), "white")
    for sheet, top in zip(sheets, (0, sheets[0].height), strict=True):
        whole.paste(sheet, (0, top))
    whole.save(Path(__file__).with_suffix(".jpg"), quality=90, subsampling=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
