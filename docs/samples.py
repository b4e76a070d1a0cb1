"""Make a sheet for the docs: images of a folder, and the first samples of seed 0 of runs on them; none is left out.

python docs/samples.py OUT.jpg --real="KaoKore=FOLDER" --rows=5 --run="generated=WORKDIR"

--real and --run may be given more than once. The pages that show a sheet tell how its runs were made.
"""

import argparse
from pathlib import Path

import numpy as np

import ganjax
from ganjax.augment import transforms
from ganjax.data import images
from ganjax.data.folder import Folder
from ganjax.report import grid

COLUMNS, SIZE = 12, 64


def some(folder: str) -> np.ndarray:
    """Return up to COLUMNS images of a folder, drawn at random, in [-1, 1]."""
    source = Folder(folder)
    chosen = np.random.default_rng(0).permutation(len(source))[:COLUMNS]
    return np.asarray(transforms.normalise(np.stack([images.fit(source.read(int(i))[0], SIZE, SIZE) for i in chosen])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", action="append", default=[], metavar="TITLE=FOLDER")
    parser.add_argument("--run", action="append", default=[], metavar="TITLE=WORKDIR")
    parser.add_argument("--rows", type=int, default=2, help="of each run")
    options = parser.parse_args()
    rows = [(title, some(folder)) for title, _, folder in (text.partition("=") for text in options.real)]
    for title, _, workdir in (text.partition("=") for text in options.run):
        rows.append((title, ganjax.load(workdir).sample(options.rows * COLUMNS, seed=0)))
    grid.sheet(rows, COLUMNS).save(options.out, quality=90, subsampling=0)


if __name__ == "__main__":
    main()
