"""Step -> batch, a pure function of (seed, step): nothing about the data has to be checkpointed but the step."""

import functools
from collections.abc import Callable, Iterator

import grain
import numpy as np

from ganjax.data.table import Dataset

STEPS = 1 << 40  # more than any run has
Batch = dict[str, dict[str, np.ndarray]]  # {table: {column: rows}}


class Loader:
    """Batches of a data set: rows of each of its tables, those of aligned tables the same, else each in its own order.

    batch_size is global; host `process` of `processes` gets its slice. With `balance` the target's images are drawn
    by the size of their class, as `balanced` says.
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
        shares = balanced(dataset.target.labels, balance) if balance else None
        counts = {name: len(table.names) for name, table in dataset.tables.items()}
        self._orders = {name: Order(counts[name], seed, stream, shares) for name, stream in streams.items()}
        self._options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)

    def index(self, step: int) -> Batch:
        """Return which rows of each table make this host's batch: {table: {"index": int32 (B,)}}."""
        start = step * self._batch_size + self._process * self._share
        return {name: {"index": order.rows(start, self._share)} for name, order in self._orders.items()}

    def batch(self, step: int) -> Batch:
        """Return this host's rows of every column."""
        indices = {name: rows["index"] for name, rows in self.index(step).items()}
        return {name: {key: column[indices[name]] for key, column in table.columns.items()}
                for name, table in self._tables.items()}  # fmt: skip

    def batches(self, start: int, indices: bool = False) -> Iterator[Batch]:
        """Yield batch(start), batch(start + 1), ... read ahead by threads; with `indices` index(start), ..., for
        callers that hold the images. Close it when done.
        """
        yield from ahead(self.index if indices else self.batch, start, self._options)


class Order:
    """The rows of a table, without end: shuffled anew each epoch.

    Rows run over the epochs' borders, so a small set repeats within a batch. They are the same for any number of
    hosts: shuffling and batching come before the slicing. With `shares`, the cumulative chances of the rows, an epoch
    draws with replacement.
    """

    def __init__(self, count: int, seed: int, stream: int, shares: np.ndarray | None):
        self._count, self._seed, self._stream, self._shares = count, seed, stream << 48, shares
        self._epoch = functools.lru_cache(4)(self._shuffled)  # threads that read ahead may be in two epochs

    def rows(self, start: int, count: int) -> np.ndarray:
        """Return int32 (count,): rows from place `start` of the endless order on."""
        epoch, offset = np.divmod(np.arange(start, start + count), self._count)
        return np.concatenate([self._epoch(int(e))[offset[epoch == e]] for e in range(epoch[0], epoch[-1] + 1)])

    def _shuffled(self, epoch: int) -> np.ndarray:
        # NumPy promises that a bit generator's stream stays as it is, which it does not of `permutation`.
        raw = np.random.Philox(key=np.array([self._seed, self._stream + epoch], np.uint64)).random_raw(self._count)
        if self._shares is not None:
            return np.searchsorted(self._shares, raw * 2.0**-64, side="right").astype(np.int32)
        return np.argsort(raw, kind="stable").astype(np.int32)


def ahead(read: Callable, start: int, options: grain.ReadOptions) -> Iterator[Batch]:
    """Yield read(start), read(start + 1), ... read ahead by threads."""
    rows = iter(grain.MapDataset.range(STEPS).map(read).to_iter_dataset(options))
    rows.set_state({"next_index": start})
    try:
        yield from rows
    finally:
        rows.close()


def balanced(labels: np.ndarray, balance: float) -> np.ndarray:
    """Return the cumulative chances (N,) of drawing each image, as n^-balance, n the size of its class: at 1 all
    classes come equally often. An image without a label counts as of one more class.
    """
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    chances = np.cumsum(counts[which] ** -float(balance))
    chances /= chances[-1]
    chances[-1] = np.inf  # so that rounding never leads past the end
    return chances
