"""What the classes of a data set mean to a conditional network: attributes, and how to ask for one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax.errors import FEW, UserError, nearest

ANY, OPEN = "*", -2  # what is drawn as in the data: as people write it, and as a value


class Labels(NamedTuple):
    """classes: names, as the data set's labels number them. counts: images of each. names: values of each attribute.

    table: int32 (classes, A), the values of each class.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]
    table: np.ndarray
    separator: str

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.names)

    def attributes(self, label: jax.Array) -> jax.Array:
        """Return int32 (B, A) of class labels (B,); -1, unknown, gives -1s."""
        unknown = np.full((1, self.table.shape[1]), -1, np.int32)
        return jnp.asarray(np.concatenate([self.table, unknown]))[label]

    def draw(self, key: jax.Array, count: int) -> jax.Array:
        """Return int32 (count, A): classes drawn by their frequency in the data."""
        logits = jnp.log(jnp.asarray(self.counts or (1,) * len(self.classes), jnp.float32))
        return self.attributes(jax.random.categorical(key, logits, shape=(count,)).astype(jnp.int32))

    def classes_of(self, attributes: np.ndarray) -> np.ndarray:
        """Return int32 (N,): the class of each row of attributes (N, A), -1 where the data set has none such."""
        rows = {tuple(row): i for i, row in enumerate(self.table.tolist())}
        return np.array([rows.get(tuple(row), -1) for row in np.asarray(attributes).tolist()], np.int32)

    def parse(self, text: str) -> np.ndarray:
        """Return int32 (A,) of what a person asks for: a class; or a value for each attribute, joined as in the names
        of the classes, in any combination, "*" for one that is drawn (OPEN). Raises UserError with the nearest.
        """
        if text in self.classes:
            return self.table[self.classes.index(text)]
        parts = text.split(self.separator) if self.separator else [text]
        if len(parts) != len(self.names):
            wanted = self.separator.join(f"({_few(values, '|')})" for values in self.names)
            raise UserError(f"label {text!r}: {wanted} is wanted{nearest(text, self.classes)}")
        row = []
        for part, values in zip(parts, self.names, strict=True):
            if part != ANY and part not in values:
                raise UserError(f"label {text!r}: {part!r} is not one of {_few(values, ', ')}{nearest(part, values)}")
            row.append(OPEN if part == ANY else values.index(part))
        return np.array(row, np.int32)


def conditional_labels(config: ConfigDict) -> Labels | None:
    """Return the labels of a conditional run, else None."""
    conditional = "condition" in config and config.condition.kind != "none"
    return labels_from_config(config) if conditional else None


def labels_from_config(config: ConfigDict) -> Labels:
    """Return the labels of a run's data set. Before it is opened, when nothing is known of it, one class.

    Raises UserError if a class is no name or has no sensible count, or if attributes do not divide all classes alike.
    """
    separator, counts = config.data.attributes, tuple(config.data.class_counts)
    classes = tuple(config.data.classes) or ("unknown",)
    if not isinstance(separator, str) or not all(isinstance(name, str) for name in classes):
        raise UserError("config.data.classes and data.attributes must be names")
    rows = [name.split(separator) if separator else [name] for name in classes]
    odd = next((name for name, row in zip(classes, rows, strict=True) if len(row) != len(rows[0])), None)
    if odd:
        raise UserError(
            f"config.data.attributes = {separator!r}: the class {odd!r} does not split into {len(rows[0])} values, as "
            f"{classes[0]!r} does"
        )
    right = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)
    if counts and (not right or len(counts) != len(classes) or sum(counts) == 0):
        raise UserError(f"config.data.class_counts must be a count for each of the {len(classes)} classes")
    names = tuple(tuple(sorted(set(values))) for values in zip(*rows, strict=True))
    table = [[values.index(value) for values, value in zip(names, row, strict=True)] for row in rows]
    return Labels(classes, counts, names, np.array(table, np.int32), separator)


def _few(values: tuple[str, ...], separator: str) -> str:
    return separator.join(values if len(values) <= FEW else (*values[:FEW], "..."))
