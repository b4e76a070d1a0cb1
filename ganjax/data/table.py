"""A decoded set of images as a table, and a data set as tables by name."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """Columns of one length N, memory-mapped where they are large.

    columns: {"image": uint8 (N, H, W, C), "label": int32 (N,), -1 for unknown}; what a batch takes of each row.
    names: of the N rows. classes: what labels count. skipped: [(name, reason)] of what could not be read. content:
    sha256 of the columns, wherever the files lie.
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
        """int32 (N,); all -1 where the table has no such column."""
        return self.columns.get("label", np.full(len(self.names), -1, np.int32))

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How many rows each class has."""
        return tuple(int((self.labels == i).sum()) for i in range(len(self.classes)))

    def take(self, rows: Sequence[int]) -> "Table":
        """Return the table of these rows, in their order; its content is still that of the whole."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return self._replace(columns=columns, names=[self.names[row] for row in rows])

    def sample(self, num: int, seed: int) -> np.ndarray:
        """Return up to `num` rows chosen by the seed, in rising order."""
        return np.sort(np.random.default_rng(seed).permutation(len(self.names))[:num])


class Dataset(NamedTuple):
    """Tables by name; the last is the target, whose images a generator learns to make.

    aligned: whether row i of each table belongs to row i of the others. side_by_side: width / height of the pictures
    that hold both images of a pair, or 0.
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
        """What of any table could not be read."""
        return [row for table in self.tables.values() for row in table.skipped]

    @property
    def content(self) -> str:
        """The contents of all tables."""
        return "-".join(table.content for table in self.tables.values())
