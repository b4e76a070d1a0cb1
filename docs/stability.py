"""Make docs/stability.png from the three runs of docs/stability.md, "On real art".

python docs/stability.py DCGAN_WORKDIR SNGAN_WORKDIR CONDITIONAL_WORKDIR KAOKORE_FOLDER
"""

import sys
from pathlib import Path

import numpy as np

import ganjax
from ganjax.augment import transforms
from ganjax.data import images
from ganjax.data.folder import Folder
from ganjax.report import grid

COLUMNS = 12
SHOWN = 4  # classes


def main(dcgan: str, sngan: str, conditional: str, folder: str) -> None:
    source = Folder(folder, labels=True)
    chosen = np.random.default_rng(0).choice(len(source), COLUMNS, replace=False)
    real = np.stack([images.fit(source.read(int(i))[0], 32, 32) for i in chosen])
    rows = [("KaoKore", np.asarray(transforms.normalise(real)))]
    for name, workdir in (("DCGAN", dcgan), ("SNGAN, a quarter of its width", sngan)):
        rows.append((name, ganjax.load(workdir).sample(2 * COLUMNS)))
    model = ganjax.load(conditional)
    commonest = sorted(zip(model.labels.counts, model.labels.classes, strict=True), reverse=True)
    for _, label in commonest[:SHOWN]:
        rows.append((f"with labels: {label}", model.sample(COLUMNS, label=label)))
    print(grid.save_sheet(rows, COLUMNS, Path(__file__).with_suffix(".png")))


if __name__ == "__main__":
    main(*sys.argv[1:])
