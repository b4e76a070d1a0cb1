"""Batches as a pure function of (seed, step): a checkpoint records nothing about the data but the step."""

import functools
from collections.abc import Callable, Iterator

import grain
import numpy as np

from ganjax.data.table import Dataset

STEPS = 1 << 40  # longer than any run
Batch = dict[str, dict[str, np.ndarray]]  # {table: {column: rows}}


class Loader:
    """Batches of a data set: rows of each table. Aligned tables share one order; others are shuffled independently.

    batch_size is global; host `process` of `processes` gets its slice. If `balance` is not 0, images are sampled with
    the probabilities that `cumulative_chances` gives the target's labels.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int,
        threads: int = 2,
        process: int = 0,
        processes: int = 1,
        balance: float = 0.0,
    ):
        self._tables, self._batch_size = dataset.tables, batch_size
        self._share, self._process = batch_size // processes, process
        streams = {name: 0 if dataset.aligned else i for i, name in enumerate(dataset.tables)}
        chances = cumulative_chances(dataset.target.labels, balance) if balance else None
        counts = {name: len(table.names) for name, table in dataset.tables.items()}
        self._orders = {name: Order(counts[name], seed, stream, chances) for name, stream in streams.items()}
        self._options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)

    def index(self, step: int) -> Batch:
        """Return the row indices of this host's batch: {table: {"index": int32 (B,)}}."""
        start = step * self._batch_size + self._process * self._share
        return {name: {"index": order.rows(start, self._share)} for name, order in self._orders.items()}

    def batch(self, step: int) -> Batch:
        """Return this host's batch: its rows of every column."""
        indices = {name: rows["index"] for name, rows in self.index(step).items()}
        return {name: {key: column[indices[name]] for key, column in table.columns.items()}
                for name, table in self._tables.items()}  # fmt: skip

    def batches(self, start: int, indices: bool = False) -> Iterator[Batch]:
        """Yield batch(start), batch(start + 1), ..., prefetched by threads. If `indices`, yield index(start), ...
        instead, for callers that hold the images. The caller must close the iterator.
        """
        yield from prefetch(self.index if indices else self.batch, start, self._options)


class Order:
    """The endless order of a table's rows, shuffled anew each epoch.

    A batch may span epochs, so that a small set repeats within it. The order is the same for any number of hosts:
    shuffling and batching come before the slicing. `chances` (see `cumulative_chances`): an epoch then samples rows
    with replacement.
    """

    def __init__(self, count: int, seed: int, stream: int, chances: np.ndarray | None):
        self._count, self._seed, self._stream, self._chances = count, seed, stream << 48, chances
        self._epoch = functools.lru_cache(4)(self._shuffle)  # prefetching threads may be in two epochs

    def rows(self, start: int, count: int) -> np.ndarray:
        """Return int32 (count,): the rows at positions start, start + 1, ... of the order."""
        epoch, offset = np.divmod(np.arange(start, start + count), self._count)
        return np.concatenate([self._epoch(int(e))[offset[epoch == e]] for e in range(epoch[0], epoch[-1] + 1)])

    def _shuffle(self, epoch: int) -> np.ndarray:
        # NumPy guarantees that the stream of a bit generator never changes, but not that of `permutation`.
        raw = np.random.Philox(key=np.array([self._seed, self._stream + epoch], np.uint64)).random_raw(self._count)
        if self._chances is not None:
            return np.searchsorted(self._chances, raw * 2.0**-64, side="right").astype(np.int32)
        return np.argsort(raw, kind="stable").astype(np.int32)


def prefetch(read: Callable, start: int, options: grain.ReadOptions) -> Iterator[Batch]:
    """Yield read(start), read(start + 1), ..., prefetched by threads."""
    rows = iter(grain.MapDataset.range(STEPS).map(read).to_iter_dataset(options))
    rows.set_state({"next_index": start})
    try:
        yield from rows
    finally:
        rows.close()


def cumulative_chances(labels: np.ndarray, balance: float) -> np.ndarray:
    """Return the cumulative probabilities (N,) of sampling each image, proportional to n^-balance, n the size of its
    class: at 1, all classes are equally frequent. Images without a label form one more class.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    chances = np.cumsum(counts[classes] ** -float(balance))
    chances /= chances[-1]
    chances[-1] = np.inf  # so that rounding never gives an index past the end
    return chances
