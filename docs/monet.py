"""Make docs/monet.png: photographs that were not trained on, as CycleGAN and CUT paint them.

python docs/monet.py PHOTOGRAPHS CYCLEGAN_WORKDIR CUT_WORKDIR

The data is monet2photo as in Kaggle's "I'm Something of a Painter Myself" (of the CycleGAN paper; 256 px), in part: 240
paintings and 326 photographs for training, 65 photographs and 30 paintings held out. The runs, about 20 minutes each on
2 cores: python launch.py train --config=cyclegan (cut.py) --config.data.a=PHOTOGRAPHS --config.data.b=MONET
--config.data.resolution=64 --config.data.load_size=72 --config.model.generator.width=32
--config.model.generator.blocks=6 --config.model.discriminator.width=32 --config.total_images=10000, for CUT also
--config.model.discriminator.width=64 --config.model.discriminator.layers=2 --config.optimizer.d_lr=4e-4
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ganjax
from ganjax.report import grid

COLUMNS, SIZE = 12, (64, 64)


def floats(images: list) -> np.ndarray:
    """Return images (N, H, W, C) in [-1, 1]."""
    return np.stack([np.asarray(image) for image in images]) / np.float32(127.5) - 1


def main(photographs: str, cyclegan: str, cut: str) -> None:
    files = sorted(Path(photographs).iterdir())[:COLUMNS]
    images = [Image.open(file).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS) for file in files]
    rows = [("photographs that were not trained on", floats(images))]
    for name, workdir in (("CycleGAN, Monet", cyclegan), ("CUT, Monet", cut)):
        model = ganjax.load(workdir)
        rows.append((name, floats([model(image) for image in images])))
    print(grid.save_sheet(rows, COLUMNS, Path(__file__).with_suffix(".png")))


if __name__ == "__main__":
    main(*sys.argv[1:])
