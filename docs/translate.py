"""Make docs/translate.png: scenes that two pix2pix runs have never seen, in impressionism and in ukiyo-e.

python docs/translate.py IMPRESSIONISM_WORKDIR UKIYO_E_WORKDIR

The runs, 10 and 6 CPU minutes: python launch.py train --config=pix2pix --config.data.resolution=64
--config.data.load_size=72 --config.model.generator.width=32 --config.model.discriminator.width=32
--config.batch_size=4 --config.data.atelier.num_images=1000 --config.data.atelier.styles="('STYLE',)" with
--config.total_images=24000 for impressionism and 14000 for ukiyo_e
"""

import sys
from pathlib import Path

import numpy as np

import ganjax
from ganjax.data import atelier
from ganjax.report import grid

COLUMNS, SIZE = 9, (64, 64)


def floats(images: list) -> np.ndarray:
    """Return images (N, H, W, C) in [-1, 1]."""
    return np.stack([np.asarray(image) for image in images]) / np.float32(127.5) - 1


def main(*workdirs: str) -> None:
    photographs = [atelier.photograph(i, SIZE, "test") for i in range(COLUMNS)]
    rows = [("photographs of scenes that were not trained on", floats(photographs))]
    for style, workdir in zip(("impressionism", "ukiyo_e"), workdirs, strict=True):
        model = ganjax.load(workdir)
        rows.append((f"pix2pix, {style}", floats([model(photograph) for photograph in photographs])))
        rows.append(
            ("as the atelier paints them", floats([atelier.paint(i, SIZE, style, "test") for i in range(COLUMNS)]))
        )
    print(grid.save_sheet(rows, COLUMNS, Path(__file__).with_suffix(".png")))


if __name__ == "__main__":
    main(*sys.argv[1:])
