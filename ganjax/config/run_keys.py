"""The keys of every run: what the loop and the data need. Durations are in images."""

from ganjax import rng
from ganjax.config.derived import PRECISIONS
from ganjax.config.key import IMAGES, MANY, Group, Key

SIDE = 2**14  # pixels

DATA: Group = {
    "name": Key(
        "atelier", "data set: folder, mnist, stacked_mnist, atelier (built in) or tfds:NAME; with a path, folder"
    ),
    "path": Key("", "folder or archive of the images; of pairs, of pictures that hold both", resumable=True),
    "a": Key("", "folder, archive or file of the images to translate, A", resumable=True),
    "b": Key("", "folder, archive or file of the images to resemble, B", resumable=True),
    "paired": Key(
        "auto",
        "whether images of A and B are pairs; auto: if their names say so",
        choices=("auto", "yes", "no"),
    ),
    "pairs_fit": Key(
        "ask",
        "pairs of different shapes: stretch B to A's shape, crop both to the common size, or stop and ask",
        choices=("ask", "stretch", "crop"),
        resumable=True,
    ),
    "split_at": Key(
        0.0,
        "where B begins in pictures that hold both, in pixels or as a share; 0: the middle, if they are 2:1",
        low=0,
        high=MANY,
        resumable=True,
    ),
    "side_by_side": Key(0.0, "width / height of pictures that hold both", derived=True),
    "split": Key("train", "split of a data set that has several"),
    "labels": Key(False, "learn from class labels: names of the first sub-folders, or the data set's own"),
    "attributes": Key(
        "", "separator that cuts a class's name into attributes, as -; /: each level of sub-folders is one"
    ),
    "balance": Key(0.0, "how evenly classes are drawn; 0: as often as they come, 1: equally often", low=0, high=1),
    "resolution": Key(64, "height of the images, in pixels", low=1, high=SIDE),
    "width": Key(0, "width of the images, in pixels; 0: square", low=0, high=SIDE),
    "load_size": Key(
        0, "height of the cached images, which are cropped to the resolution; 0: the resolution", low=0, high=SIDE
    ),
    "channels": Key(3, "channels of an image: 3 for RGB, 1 for gray", choices=(3, 1)),
    "windows": Key(
        0,
        "above 0: shrink a folder's images to at most so many pixels a side, then cut them into windows of load_size",
        low=0,
        high=16 * SIDE,
    ),
    "fit": Key("crop", "how an image gets the shape: crop its centre, or pad it with white", choices=("crop", "pad")),
    "max_pixels": Key(200_000_000, "files of more pixels are skipped", low=1, high=2**40),
    "max_damaged": Key(0.05, "share of damaged files that a folder of more than 100 may have", low=0, high=1),
    "threads": Key(2, "threads that read and decode images", low=1, high=1024, resumable=True, silent=True),
    "resident": Key(
        "auto",
        "keep all images on the device, as uint8; auto: if they fit",
        choices=("auto", "yes", "no"),
        resumable=True,
        silent=True,
    ),
    "classes": Key((), "names of the classes", parts=str, derived=True),
    "class_counts": Key((), "images of each class", parts=int, derived=True),
    "atelier": {
        "num_images": Key(6000, "images of the built-in data set", low=2, high=10_000_000),
        "styles": Key((), "styles of the built-in data set; (): all", parts=str),
    },
}

AUGMENT: Group = {  # on the device, in training alone
    "crop_scale": Key(1.0, "random resized crop: the least share of the area; 1: off", low=0.01, high=1),
    "flip": Key(True, "mirror one image in two, at random"),
    "rotate": Key(0.0, "rotation by at most so many degrees, either way", low=0, high=180),
    "brightness": Key(0.0, "shift of all levels, of the range [-1, 1], by at most this", low=0, high=1),
    "contrast": Key(0.0, "contrast times a factor of 1 plus or minus at most this", low=0, high=1),
    "saturation": Key(0.0, "saturation times a factor of 1 plus or minus at most this", low=0, high=1),
}


def _passing(default, doc: str, **limits) -> Key:
    """Return a key that may change when a run goes on, and changes no result of it."""
    return Key(default, doc, resumable=True, silent=True, **limits)


def _recorded(default, doc: str, **limits) -> Key:
    return Key(default, doc, derived=True, **limits)


CHECKPOINT: Group = {
    "every_images": _passing(50_000, "interval of checkpoints; 0: off", low=0, high=IMAGES),
    "every_seconds": _passing(0.0, "interval of checkpoints by the clock too, on one host; 0: off", low=0, high=IMAGES),
    # A damaged last checkpoint needs one before it.
    "keep_last": _passing(2, "newest checkpoints that stay", low=2, high=IMAGES),
    "keep_every_images": _passing(0, "interval of checkpoints that stay for good; 0: off", low=0, high=IMAGES),
    "keep_best": _passing("", "logged scalar whose best checkpoint stays too, as min:NAME or max:NAME"),
}

REPORT: Group = {
    "every_images": _passing(2_000, "interval of logged scalars", low=0, high=IMAGES),
    "samples_every_images": _passing(25_000, "interval of sample sheets", low=0, high=IMAGES),
    "grid": _passing(64, "images of a sample sheet", low=1, high=MANY),
    "tensorboard": _passing(True, "write files for TensorBoard too"),
}

BRANCH: Group = {
    "workdir": Key("", "workdir of another run, from whose checkpoint this one goes on with other settings"),
    "step": Key("", "step of the checkpoint to branch from, or best; empty: the newest"),
    "at": _recorded(0, "step of the checkpoint branched from"),
    "images": _recorded(0, "images that the checkpoint branched from had seen"),
    "attempt": _recorded(0, "rollbacks of the other run, whose noise the branch goes on with"),
    "checkpoint": _recorded("", "hash of the checkpoint branched from"),
    "changed": _recorded((), "settings that the branch changed", parts=str),
}

RUN: Group = {
    "recipe": Key("", "the GAN: a file in ganjax/recipes/"),
    "task": Key("generate", "what the data are: a file in ganjax/tasks/: generate, translate or restore"),
    "seed": Key(0, "seed of all random draws", low=rng.SEED[0], high=rng.SEED[1]),
    "batch_size": Key(64, "images of a batch, over all devices and hosts together", low=1, high=MANY),
    "total_images": Key(1_000_000, "length of the run, in images", low=0, high=IMAGES, resumable=True),
    "schedule_images": Key(
        0, "horizon of the schedules; 0: the total_images that the run began with", low=0, high=IMAGES, resumable=True
    ),
    "steps_per_call": _passing(
        1, "steps per device call; more than 1 helps where a step takes under a few ms", low=1, high=MANY
    ),
    "precision": Key(
        "float32",
        "dtype; bfloat16 computes in it with float32 parameters, float64 is for checks",
        choices=tuple(PRECISIONS),
    ),
    "deterministic": Key(False, "on a GPU: the same bits each time, slower"),
    "metrics": _passing(
        (), "metrics of the averaged generator while training; names: launch.py evaluate --list", parts=str
    ),
    "metrics_images": _passing(1000, "samples, and real images, that the metrics compare", low=4, high=IMAGES),
    "metrics_every_images": _passing(0, "interval of the metrics; 0: at each checkpoint", low=0, high=IMAGES),
    "data": DATA,
    "on_divergence": Key(
        "stop",
        "what a run that diverges does: stop, or go back to the last checkpoint with other noise, three times at most",
        choices=("stop", "rollback"),
        resumable=True,
    ),
    "health": _passing(True, "watch for collapse, overfitting and divergence, and say so"),
    "augment": AUGMENT,
    "checkpoint": CHECKPOINT,
    "report": REPORT,
    "branch": BRANCH,
    "mesh": {"data": _passing(-1, "devices that share a batch; -1: all", low=-1, high=MANY)},
}
