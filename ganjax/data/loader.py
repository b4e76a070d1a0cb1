"""Step -> batch, a pure function of (seed, step): nothing about the data has to be checkpointed but the step."""

import functools
from collections.abc import Callable, Iterator

import grain
import numpy as np

from ganjax.data.cache import Dataset

STEPS = 1 << 40  # more than any run has


class Loader:
    """Shuffled anew each epoch; batches run over the epochs' borders, so a small set repeats within a batch.

    batch_size is global; host `process` of `processes` gets its slice. The batches of all hosts, put together, are
    the same for any number of hosts: shuffling and batching come before the slicing.

    With `balance` b > 0 an epoch draws its images, with replacement, in proportion to n^-b, n the size of their class:
    at 1 all classes come equally often. An image without a label counts as of one more class.
    """

    def __init__(
        self,
        data: Dataset,
        batch_size: int,
        seed: int,
        labelled=False,
        threads=2,
        process=0,
        processes=1,
        balance=0.0,
        stream=0,
    ):
        self._shares = balanced(data.labels, balance) if balance else None
        self._images, self._labels, self._seed = data.images, data.labels if labelled else None, seed
        self._stream = stream << 48  # of two domains each has an order of its own
        self._batch_size, self._share, self._process = batch_size, batch_size // processes, process
        self._order = functools.lru_cache(4)(self._shuffled)  # threads that read ahead may be in two epochs
        self._options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)

    def _shuffled(self, epoch: int) -> np.ndarray:
        # NumPy promises that a bit generator's stream stays as it is, which it does not of `permutation`.
        raw = np.random.Philox(key=np.array([self._seed, self._stream + epoch], np.uint64)).random_raw(
            len(self._images)
        )
        if self._shares is not None:
            return np.searchsorted(self._shares, raw * 2.0**-64, side="right").astype(np.int32)
        return np.argsort(raw, kind="stable").astype(np.int32)

    def index(self, step: int) -> np.ndarray:
        """Return which rows of the data set make this host's batch: int32 (B,)."""
        start = step * self._batch_size + self._process * self._share
        epoch, offset = np.divmod(np.arange(start, start + self._share), len(self._images))
        rows = [self._order(int(e))[offset[epoch == e]] for e in range(epoch[0], epoch[-1] + 1)]
        return np.concatenate(rows)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Return {"image": uint8 (B, H, W, C), "label": int32 (B,), -1 for unknown} of this host."""
        index = self.index(step)
        label = np.full(len(index), -1, np.int32) if self._labels is None else self._labels[index]
        return {"image": self._images[index], "label": label}

    def batches(self, start: int, indices: bool = False) -> Iterator[dict[str, np.ndarray]]:
        """Yield batch(start), batch(start + 1), ... read ahead by threads. Close it when done.

        With `indices` each is {"index": index(step)} alone, for who holds the images already.
        """
        yield from ahead((lambda step: {"index": self.index(step)}) if indices else self.batch, start, self._options)


def of(dataset, batch_size: int, config, process: int = 0, processes: int = 1) -> "Loader | PairLoader":
    """Return the loader of a run over its data set, of one domain or of two; `batch_size` is that of a step."""
    data = config.data
    if data.domains == 2:
        return PairLoader(dataset, batch_size, config.seed, data.threads, process, processes)
    return Loader(dataset, batch_size, config.seed, data.labels, data.threads, process, processes, data.balance)


class PairLoader:
    """Batches of two domains, `Loader`'s of each: of pairs the same rows, else each in an order of its own."""

    def __init__(self, domains, batch_size: int, seed: int, threads=2, process=0, processes=1):
        make = lambda data, stream: Loader(data, batch_size, seed, False, threads, process, processes, 0.0, stream)  # noqa: E731
        self._a, self._b = make(domains.a, 0), make(domains.b, 0 if domains.paired else 1)

    def index(self, step: int) -> dict[str, np.ndarray]:
        """Return which rows of each domain make this host's batch: "a_index" and "b_index", int32 (B,)."""
        return {"a_index": self._a.index(step), "b_index": self._b.index(step)}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Return {"a": uint8 (B, H, W, C), "b": the same} of this host."""
        return {"a": self._a.batch(step)["image"], "b": self._b.batch(step)["image"]}

    def batches(self, start: int, indices: bool = False) -> Iterator[dict[str, np.ndarray]]:
        """Yield batch(start), batch(start + 1), ... read ahead by threads; with `indices` index(start), ..."""
        yield from ahead(self.index if indices else self.batch, start, self._a._options)


def ahead(read: Callable, start: int, options: grain.ReadOptions) -> Iterator[dict[str, np.ndarray]]:
    """Yield read(start), read(start + 1), ... read ahead by threads."""
    rows = iter(grain.MapDataset.range(STEPS).map(read).to_iter_dataset(options))
    rows.set_state({"next_index": start})
    try:
        yield from rows
    finally:
        rows.close()


def balanced(labels: np.ndarray, balance: float) -> np.ndarray:
    """Return the cumulative chances (N,) of drawing each image, as n^-balance, n the size of its class."""
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    chances = np.cumsum(counts[which] ** -float(balance))
    chances /= chances[-1]
    chances[-1] = np.inf  # so that rounding never leads past the end
    return chances
