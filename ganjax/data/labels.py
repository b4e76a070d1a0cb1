"""Class labels of a conditional network: classes as tuples of attributes, and parsing of a requested label."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ganjax.errors import FEW, UserError, nearest

ANY, OPEN = "*", -2  # an attribute to be sampled from the data: as users write it, and its value in arrays


class Labels(NamedTuple):
    """The classes of a data set, each a tuple of A attributes.

    classes: names, in the order of the data set's labels. counts: images of each class. names: the values of each
    attribute. table: int32 (classes, A), the attributes of each class. separator: string between the attributes in a
    class name, or "".
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
        """Return int32 (B, A), the attributes of class labels (B,); all -1 for an unknown label, -1."""
        unknown = np.full((1, self.table.shape[1]), -1, np.int32)
        return jnp.asarray(np.concatenate([self.table, unknown]))[label]

    def draw(self, key: jax.Array, count: int) -> jax.Array:
        """Return int32 (count, A), the attributes of classes that are sampled by their frequency in the data."""
        logits = jnp.log(jnp.asarray(self.counts or (1,) * len(self.classes), jnp.float32))
        return self.attributes(jax.random.categorical(key, logits, shape=(count,)).astype(jnp.int32))

    def classes_of(self, attributes: np.ndarray) -> np.ndarray:
        """Return int32 (N,), the class of each row of attributes (N, A), or -1 if no class has these attributes."""
        rows = {tuple(row): i for i, row in enumerate(self.table.tolist())}
        return np.array([rows.get(tuple(row), -1) for row in np.asarray(attributes).tolist()], np.int32)

    def parse(self, text: str) -> np.ndarray:
        """Return int32 (A,), the attributes of a label that a user requests.

        text: a class; or any combination of attribute values, joined as in the class names, with "*" for a value to be
        sampled (OPEN). Raises UserError, which suggests the nearest name.
        """
        if text in self.classes:
            return self.table[self.classes.index(text)]
        parts = text.split(self.separator) if self.separator else [text]
        if len(parts) != len(self.names):
            form = self.separator.join(f"({_few(values, '|')})" for values in self.names)
            raise UserError(f"label {text!r} must have the form {form}{nearest(text, self.classes)}")
        row = []
        for part, values in zip(parts, self.names, strict=True):
            if part != ANY and part not in values:
                raise UserError(f"label {text!r}: {part!r} is not one of {_few(values, ', ')}{nearest(part, values)}")
            row.append(OPEN if part == ANY else values.index(part))
        return np.array(row, np.int32)


def conditional_labels(config: ConfigDict) -> Labels | None:
    """Return the labels of a conditional run, or None if the run is unconditional."""
    conditional = "condition" in config and config.condition.kind != "none"
    return labels_from_config(config) if conditional else None


def labels_from_config(config: ConfigDict) -> Labels:
    """Return the labels of a run's data set; one class, "unknown", before the data set is opened.

    Raises UserError if a class name is no string, if the counts are invalid, or if the class names do not split into
    equally many attributes.
    """
    separator, counts = config.data.attributes, tuple(config.data.class_counts)
    classes = tuple(config.data.classes) or ("unknown",)
    if not isinstance(separator, str) or not all(isinstance(name, str) for name in classes):
        raise UserError("config.data.classes and config.data.attributes must be strings")
    rows = [name.split(separator) if separator else [name] for name in classes]
    odd = next((name for name, row in zip(classes, rows, strict=True) if len(row) != len(rows[0])), None)
    if odd:
        raise UserError(
            f"config.data.attributes = {separator!r}: the class {odd!r} does not split into {len(rows[0])} values, as "
            f"{classes[0]!r} does"
        )
    valid = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)
    if counts and (not valid or len(counts) != len(classes) or sum(counts) == 0):
        raise UserError(f"config.data.class_counts must be a count for each of the {len(classes)} classes")
    names = tuple(tuple(sorted(set(values))) for values in zip(*rows, strict=True))
    table = [[values.index(value) for values, value in zip(names, row, strict=True)] for row in rows]
    return Labels(classes, counts, names, np.array(table, np.int32), separator)


def _few(values: tuple[str, ...], separator: str) -> str:
    return separator.join(values if len(values) <= FEW else (*values[:FEW], "..."))
