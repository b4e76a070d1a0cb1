"""Make docs/projected.jpg: faces of KaoKore, and samples of Projected GAN trained on them on two CPU cores.

python docs/projected.py WORKDIR KAOKORE_FOLDER

The run: python launch.py train --config=projected --config.data.path=KAOKORE --config.total_images=173000
--workdir=WORKDIR. The samples are the first of seed 0; none was left out.
"""

import sys
from pathlib import Path

import numpy as np

import ganjax
from ganjax.augment import transforms
from ganjax.data import images
from ganjax.data.folder import Folder
from ganjax.report import grid

COLUMNS, ROWS, SIZE = 12, 5, 64


def main(workdir: str, folder: str) -> None:
    source = Folder(folder, labels=True)
    chosen = np.random.default_rng(0).choice(len(source), COLUMNS, replace=False)
    real = np.stack([images.fit(source.read(int(i))[0], SIZE, SIZE) for i in chosen])
    samples = ganjax.load(workdir).sample(ROWS * COLUMNS, seed=0)
    rows = [("KaoKore", np.asarray(transforms.normalise(real))), ("generated", samples)]
    grid.sheet(rows, COLUMNS).save(Path(__file__).with_suffix(".jpg"), quality=90, subsampling=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
