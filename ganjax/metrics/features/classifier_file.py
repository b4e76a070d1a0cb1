"""The classifier of a dataset, trained once and cached in a file."""

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


def load_or_train(
    folder: Path, content: str, images: np.ndarray, labels: np.ndarray, num_classes: int, **settings
) -> Classifier:
    """Return `train(images, labels, num_classes, **settings)`, from the cache if it is there.

    folder: where the cached files are; created if missing. content: a hash of the images and labels. A damaged file is
    replaced, with a warning.
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
        log.warning("the classifier cannot be cached in %s (%s): it will be trained again", folder, error)
    return classifier


def save(classifier: Classifier, path: Path) -> None:
    """Write the variables as safetensors, with the other fields and their hash in its metadata, atomically."""
    fields = {**classifier._asdict(), "version": VERSION}
    del fields["variables"]
    text = json.dumps(fields)
    metadata = {"classifier": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    with atomic.replacing(Path(path)) as temporary:
        safetensors.numpy.save_file(flat(classifier.variables), temporary, metadata)


def load(path: Path) -> Classifier:
    """Return the classifier that `save` wrote. Raises UserError if the file is damaged, or of another VERSION."""
    try:
        arrays, metadata = array_files.read_safetensors(Path(path))
    except UserError as error:
        raise UserError(f"{error}; remove it to train the classifier anew") from error
    text = metadata.get("classifier", "")
    if metadata.get("sha256") != hashlib.sha256(text.encode()).hexdigest():
        raise UserError(f"{path} is no classifier, or damaged; remove it to train the classifier anew")
    fields = json.loads(text)
    variables = unflatten_dict(arrays, sep=".")
    if fields.pop("version") != VERSION or variables_hash(variables) != fields["hash"]:
        raise UserError(f"{path} is damaged or of another version; remove it to train the classifier anew")
    return Classifier(variables=variables, **{**fields, "shape": tuple(fields["shape"])})
