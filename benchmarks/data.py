"""Images per second of reading a folder: decoding it, reading it decoded, and torch's DataLoader, in one run.

python benchmarks/data.py --path=FOLDER [--size=64] [--batch=64] [--seconds=8]

torch decodes with the same Pillow transform at each epoch, as its tutorials do. The ratio is ganjax / torch. Needs
torch, which is no dependency of the package: pip install torch.
"""

import argparse
import itertools
import os
import tempfile
import time

import torch

from ganjax.data import cache, images
from ganjax.data.folder import Folder
from ganjax.data.loader import Loader


class TorchFolder(torch.utils.data.Dataset):
    """The same files through the same Pillow calls."""

    def __init__(self, path: str, size: int):
        self.folder, self.size = Folder(path), size

    def __len__(self):
        return len(self.folder)

    def __getitem__(self, index):
        return torch.from_numpy(images.fit(self.folder.read(index)[0], self.size, self.size).copy())


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
    parser.add_argument("--path", required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANJAX_CACHE"] = folder
        start = time.monotonic()
        data = cache.load(Folder(options.path), options.size, options.size, 3, threads=os.cpu_count())
        cold = len(data.images) / (time.monotonic() - start)
        loader = Loader(data, options.batch, seed=0)
        cached = rate((batch["image"] for batch in loader.batches(0)), options.seconds)
        peers = {}
        for workers in (0, os.cpu_count()):
            dataset = TorchFolder(options.path, options.size)
            batches = torch.utils.data.DataLoader(
                dataset, options.batch, shuffle=True, drop_last=True, num_workers=workers
            )
            peers[workers] = rate(endless(batches), options.seconds)
    best = max(peers.values())
    print(f"{len(data.images)} images, {options.size} px, batch {options.batch}, {os.cpu_count()} cores; images/s")
    print(f"ganjax, decoding (once)      {cold:9.0f}   {cold / best:6.2f} x torch")
    print(f"ganjax, decoded (each epoch) {cached:9.0f}   {cached / best:6.2f} x torch")
    for workers, value in peers.items():
        print(f"torch DataLoader, {workers} workers  {value:9.0f}")


if __name__ == "__main__":
    main()
