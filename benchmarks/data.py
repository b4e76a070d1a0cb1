"""Images per second of reading a folder: ganjax's decoding, ganjax's decoded cache, and torch's DataLoader, in one run.

python benchmarks/data.py [--path=FOLDER] [--size=64] [--batch=64] [--seconds=8]

torch decodes with the same Pillow transform in each epoch, as its tutorials do. The ratio is ganjax / torch. Needs
torch, which is not a dependency of the package: pip install torch. Without --path it paints 600 JPEGs of 256 px.
"""

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import torch

from ganjax.data import atelier, cache, images
from ganjax.data.folder import Folder
from ganjax.data.loader import Loader
from ganjax.data.table import Dataset


class TorchFolder(torch.utils.data.Dataset):
    """The same files through the same Pillow calls."""

    def __init__(self, path: str, size: int):
        self.folder, self.size = Folder(path), size

    def __len__(self):
        return len(self.folder)

    def __getitem__(self, index):
        return torch.from_numpy(images.fit(self.folder.read(index)[0], self.size, self.size).copy())


def paint(folder: str) -> None:
    """Fill a folder with pictures of the built-in dataset."""
    source = atelier.Atelier(600, (256, 256), ("de_stijl", "ukiyo_e"))
    for index in range(len(source)):
        source.read(index)[0].save(Path(folder) / f"{index:04d}.jpg", quality=92)


def rate(batches, seconds: float) -> float:
    """Return images/s over about `seconds`, after two batches of warm-up."""
    count = 0
    for _ in itertools.islice(batches, 2):
        pass
    start = time.monotonic()
    for batch in batches:
        count += len(batch)
        if time.monotonic() - start > seconds:
            break
    return count / (time.monotonic() - start)


def endless(loader):
    while True:
        yield from loader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as pictures:
        os.environ["GANJAX_CACHE"] = folder
        if not options.path:
            paint(pictures)
        path = options.path or pictures
        dataset = TorchFolder(path, options.size)
        if len(dataset) < options.batch:
            raise SystemExit(f"{path} holds {len(dataset)} files, fewer than a batch of {options.batch}")
        for index in range(len(dataset)):  # load the files into the page cache, from which both sides read
            (dataset.folder.root / dataset.folder.files[index]).read_bytes()
        start = time.monotonic()
        table = cache.load(Folder(path), options.size, options.size, 3, threads=os.cpu_count())
        cold = len(table.images) / (time.monotonic() - start)
        loader = Loader(Dataset({"image": table}), options.batch, seed=0)
        cached = rate((batch["image"]["image"] for batch in loader.batches(0)), options.seconds)
        peers = {}
        for workers in (0, os.cpu_count()):
            extra = {"num_workers": workers, "persistent_workers": workers > 0}
            batches = torch.utils.data.DataLoader(dataset, options.batch, shuffle=True, drop_last=True, **extra)
            peers[workers] = rate(endless(batches), options.seconds)
    best = max(peers.values())
    print(f"{len(table.images)} images, {options.size} px, batch {options.batch}, {os.cpu_count()} cores; images/s")
    print(f"ganjax, decoding (once)      {cold:9.0f}   {cold / best:6.2f} x torch")
    print(f"ganjax, decoded (each epoch) {cached:9.0f}   {cached / best:6.2f} x torch")
    for workers, value in peers.items():
        print(f"torch DataLoader, {workers} workers  {value:9.0f}")


if __name__ == "__main__":
    main()
