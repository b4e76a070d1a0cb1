"""`Table`: decoded images with their labels. `Dataset`: tables by name."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """Columns of one length N; large ones are memory-mapped.

    columns: {"image": uint8 (N, H, W, C), "label": int32 (N,), -1 for unknown}; a batch holds rows of each column.
    names: of the N rows. classes: names by label. skipped: [(name, reason)] of the files that could not be read.
    content: sha256 of the columns, the same wherever the files lie.
    """

    columns: dict[str, np.ndarray]
    names: list[str]
    classes: tuple[str, ...] = ()
    skipped: Sequence[tuple[str, str]] = ()
    content: str = ""

    @property
    def images(self) -> np.ndarray:
        """uint8 (N, H, W, C)."""
        return self.columns["image"]

    @property
    def labels(self) -> np.ndarray:
        """int32 (N,); all -1 if the table has no labels."""
        return self.columns.get("label", np.full(len(self.names), -1, np.int32))

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of rows of each class."""
        return tuple(int((self.labels == i).sum()) for i in range(len(self.classes)))

    def take(self, rows: Sequence[int]) -> "Table":
        """Return the table of these rows, in this order; its `content` is still that of the whole table."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return self._replace(columns=columns, names=[self.names[row] for row in rows])

    def sample(self, num: int, seed: int) -> np.ndarray:
        """Return up to `num` row indices, sampled by the seed, in ascending order."""
        return np.sort(np.random.default_rng(seed).permutation(len(self.names))[:num])


class Dataset(NamedTuple):
    """Tables by name; the last is the target, whose images a generator learns to make.

    aligned: whether row i of each table belongs to row i of the others. side_by_side: width / height of the images that
    hold both sides of a pair, or 0.
    """

    tables: dict[str, Table]
    aligned: bool = False
    side_by_side: float = 0.0

    @property
    def target(self) -> Table:
        """The last table."""
        return list(self.tables.values())[-1]

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """[(name, reason)] of the files of any table that could not be read."""
        return [row for table in self.tables.values() for row in table.skipped]

    @property
    def content(self) -> str:
        """`content` of all tables, joined by hyphens."""
        return "-".join(table.content for table in self.tables.values())
