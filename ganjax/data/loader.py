"""Step -> batch, a pure function of (seed, step): nothing about the data has to be checkpointed but the step."""

from collections.abc import Iterator

import grain
import numpy as np

from ganjax.data.cache import Dataset


class _Rows:
    """A grain source over the rows of a Dataset."""

    def __init__(self, data: Dataset, labelled: bool):
        self.data, self.labelled = data, labelled

    def __len__(self):
        return len(self.data.images)

    def __getitem__(self, index):
        label = self.data.labels[index] if self.labelled else np.int32(-1)
        return {"image": self.data.images[index], "label": label}

    def __repr__(self):
        return f"Rows({len(self)})"


class Loader:
    """Shuffled anew each epoch; batches run over the epochs' borders, so a small set repeats within a batch.

    batch_size is global; host `process` of `processes` gets its slice. The batches of all hosts, put together, are
    the same for any number of hosts: shuffling and batching come before the slicing.
    """

    def __init__(self, data: Dataset, batch_size: int, seed: int, labelled=False, threads=2, process=0, processes=1):
        rows = grain.MapDataset.source(_Rows(data, labelled)).seed(seed).shuffle().repeat()
        self._batches = rows.batch(batch_size // processes, drop_remainder=True)[process::processes]
        self._options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Return {"image": uint8 (B, H, W, C), "label": int32 (B,)} of this host."""
        return self._batches[step]

    def batches(self, start: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield batch(start), batch(start + 1), ... read ahead by threads. Close it when done."""
        rows = iter(self._batches.to_iter_dataset(self._options))
        rows.set_state({"next_index": start})
        try:
            yield from rows
        finally:
            rows.close()
