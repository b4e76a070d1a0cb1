"""The classifier of a data set, trained once and kept as a file in the cache."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import unflatten_dict

from ganjax.errors import UserError
from ganjax.metrics.features.classifier import IMAGES_SEEN, VERSION, Classifier, flat, train, variables_hash
from ganjax.system import array_files, atomic

log = logging.getLogger(__name__)


def trained(
    folder: Path, content: str, images: np.ndarray, labels: np.ndarray, num_classes: int, **settings
) -> Classifier:
    """Return `train(images, labels, num_classes, **settings)`, or what it gave before for this data set.

    folder: of the cache, made where missing; content: the data set's hash (`Table.content`). A damaged file is made
    anew.
    """
    values = {"seed": 0, "images_seen": IMAGES_SEEN, **settings}
    values.pop("progress", None)
    parts = {"version": VERSION, "content": content, "shape": images.shape, "classes": num_classes, **values}
    path = folder / f"{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]}.safetensors"
    if path.is_file():
        try:
            return load(path)
        except UserError as error:
            log.warning("the classifier is trained anew: %s", error)
    classifier = train(images, labels, num_classes, **settings)
    try:
        save(classifier, path)
    except (UserError, safetensors.SafetensorError) as error:
        log.warning("the classifier cannot be kept in %s (%s): it will be trained again", folder, error)
    return classifier


def save(classifier: Classifier, path: Path) -> None:
    """Write the variables as safetensors, the rest in its metadata with a hash; whole or not at all."""
    rest = {**classifier._asdict(), "version": VERSION}
    del rest["variables"]
    text = json.dumps(rest)
    notes = {"classifier": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    with atomic.replacing(Path(path)) as temporary:
        safetensors.numpy.save_file(flat(classifier.variables), temporary, notes)


def load(path: Path) -> Classifier:
    """Read what `save` wrote. Raises UserError for a file that is damaged, or of another version of the recipe."""
    try:
        flat, notes = array_files.read_safetensors(Path(path))
    except UserError as error:
        raise UserError(f"{error}; remove it to train the classifier anew") from error
    text = notes.get("classifier", "")
    if notes.get("sha256") != hashlib.sha256(text.encode()).hexdigest():
        raise UserError(f"{path} is no classifier, or damaged; remove it to train it anew")
    rest = json.loads(text)
    variables = unflatten_dict(flat, sep=".")
    if rest.pop("version") != VERSION or variables_hash(variables) != rest["hash"]:
        raise UserError(f"{path} is damaged or of another version; remove it to train the classifier anew")
    return Classifier(variables=variables, **{**rest, "shape": tuple(rest["shape"])})
