"""The keys of every run: those of the training loop and of the data. Durations are in images."""

from ganjax import rng
from ganjax.config.derived import PRECISIONS
from ganjax.config.key import IMAGES, MANY, Group, Key

SIDE = 2**14  # pixels

DATA: Group = {
    "name": Key(
        "atelier", "dataset: folder (if data.path is set), mnist, stacked_mnist, atelier (built in) or tfds:NAME"
    ),
    "path": Key("", "folder or archive of the images; for pairs, of pictures that hold A and B", resumable=True),
    "a": Key("", "folder, archive or file of domain A, the images to translate", resumable=True),
    "b": Key("", "folder, archive or file of domain B, the images to resemble", resumable=True),
    "paired": Key(
        "auto",
        "whether images of A and B are pairs; auto: if their file names match",
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
        "where B begins in pictures that hold A and B, in pixels or as a share; 0: the middle, if they are 2:1",
        low=0,
        high=MANY,
        resumable=True,
    ),
    "side_by_side": Key(0.0, "width / height of pictures that hold A and B", derived=True),
    "split": Key("train", "split of a dataset that has several"),
    "labels": Key(False, "use class labels: the names of the first sub-folders, or the dataset's own"),
    "attributes": Key(
        "", "separator that splits class names into attributes, such as -; /: each level of sub-folders is one"
    ),
    "balance": Key(0.0, "class balance of the batches; 0: as in the data, 1: all classes equally often", low=0, high=1),
    "resolution": Key(64, "height of the images, in pixels", low=1, high=SIDE),
    "width": Key(0, "width of the images, in pixels; 0: square, or as the picture of task single", low=0, high=SIDE),
    "load_size": Key(
        0, "height of the cached images, which are cropped to the resolution; 0: the resolution", low=0, high=SIDE
    ),
    "channels": Key(
        3, "channels of an image: 3 for RGB, 1 for gray, 4 with alpha, from noise alone", choices=(3, 1, 4)
    ),
    "windows": Key(
        0,
        "> 0: shrink a folder's images to at most N pixels a side, then cut them into windows of load_size",
        low=0,
        high=16 * SIDE,
    ),
    "fit": Key("crop", "how images get their shape: crop the centre, or pad with white", choices=("crop", "pad")),
    "max_pixels": Key(200_000_000, "files of more pixels are skipped", low=1, high=2**40),
    "max_damaged": Key(0.05, "largest share of damaged files in a folder of more than 100", low=0, high=1),
    "threads": Key(2, "threads that read and decode images", low=1, high=1024, resumable=True, silent=True),
    "resident": Key(
        "auto",
        "keep all images on the device, as uint8; auto: if they fit",
        choices=("auto", "yes", "no"),
        resumable=True,
        silent=True,
    ),
    "classes": Key((), "names of the classes", parts=str, derived=True),
    "class_counts": Key((), "number of images of each class", parts=int, derived=True),
    "atelier": {
        "num_images": Key(6000, "number of images of the built-in dataset", low=1, high=10_000_000),
        "styles": Key((), "styles of the built-in dataset; (): all", parts=str),
    },
}

AUGMENT: Group = {  # on the device, in training only
    "crop_scale": Key(1.0, "random resized crop: the smallest share of the area; 1: off", low=0.01, high=1),
    "flip": Key(True, "flip half of the images horizontally, at random"),
    "rotate": Key(0.0, "random rotation by at most N degrees in either direction", low=0, high=180),
    "brightness": Key(0.0, "random shift of all values, in the range [-1, 1], by at most this", low=0, high=1),
    "contrast": Key(0.0, "random contrast factor of 1 plus or minus at most this", low=0, high=1),
    "saturation": Key(0.0, "random saturation factor of 1 plus or minus at most this", low=0, high=1),
}


def _silent(default, doc: str, **limits) -> Key:
    """Return a key that may change when a run is resumed, and that has no effect on its results."""
    return Key(default, doc, resumable=True, silent=True, **limits)


def _derived(default, doc: str, **limits) -> Key:
    """Return a key that the run itself sets."""
    return Key(default, doc, derived=True, **limits)


CHECKPOINT: Group = {
    "every_images": _silent(50_000, "interval of checkpoints; 0: off", low=0, high=IMAGES),
    "every_seconds": _silent(
        0.0, "interval of further checkpoints in seconds of wall time, on one host; 0: off", low=0, high=IMAGES
    ),
    # At least 2: if the newest checkpoint is damaged, the run resumes from the one before it.
    "keep_last": _silent(2, "number of newest checkpoints to keep", low=2, high=IMAGES),
    "keep_every_images": _silent(0, "interval of checkpoints to keep for good; 0: off", low=0, high=IMAGES),
    "keep_best": _silent("", "logged scalar whose best checkpoint is kept too, as min:NAME or max:NAME"),
}

REPORT: Group = {
    "every_images": _silent(2_000, "interval of logged scalars", low=0, high=IMAGES),
    "samples_every_images": _silent(25_000, "interval of sample sheets", low=0, high=IMAGES),
    "grid": _silent(64, "number of images of a sample sheet", low=1, high=MANY),
    "tensorboard": _silent(True, "also write files for TensorBoard"),
}

BRANCH: Group = {
    "workdir": Key("", "workdir of another run: continue from its checkpoint with other settings"),
    "step": Key("", "step of the checkpoint to branch from, or best; empty: the newest"),
    "at": _derived(0, "step of the checkpoint branched from"),
    "images": _derived(0, "images seen at the checkpoint branched from"),
    "attempt": _derived(0, "rollbacks of the other run, which select the noise of the branch"),
    "checkpoint": _derived("", "hash of the checkpoint branched from"),
    "changed": _derived((), "settings that the branch changed", parts=str),
}

RUN: Group = {
    "recipe": Key("", "the GAN: a file in ganjax/recipes/"),
    "task": Key("generate", "the task, a file in ganjax/tasks/: generate, single, translate or restore"),
    "seed": Key(0, "seed of all random draws", low=rng.SEED[0], high=rng.SEED[1]),
    "batch_size": Key(64, "images per batch, over all devices and hosts", low=1, high=MANY),
    "total_images": Key(1_000_000, "length of the run, in images", low=0, high=IMAGES, resumable=True),
    "schedule_images": Key(
        0, "horizon of the schedules; 0: the total_images that the run began with", low=0, high=IMAGES, resumable=True
    ),
    "steps_per_call": _silent(
        1, "steps per device call; more than 1 helps where a step takes under a few ms", low=1, high=MANY
    ),
    "precision": Key(
        "float32",
        "dtype of the computation; bfloat16 keeps float32 parameters, float64 is for checks",
        choices=tuple(PRECISIONS),
    ),
    "deterministic": Key(False, "on a GPU: deterministic kernels, which are slower"),
    "metrics": _silent(
        (), "metrics of the averaged generator during training; names: launch.py evaluate --list", parts=str
    ),
    "metrics_images": _silent(1000, "number of samples, and of real images, that metrics compare", low=4, high=IMAGES),
    "metrics_every_images": _silent(0, "interval of the metrics; 0: at each checkpoint", low=0, high=IMAGES),
    "data": DATA,
    "on_divergence": Key(
        "stop",
        "if the run diverges: stop, or roll back to the last checkpoint with other noise, at most three times",
        choices=("stop", "rollback"),
        resumable=True,
    ),
    "health": _silent(True, "watch for mode collapse, overfitting and divergence, and warn"),
    "augment": AUGMENT,
    "checkpoint": CHECKPOINT,
    "report": REPORT,
    "branch": BRANCH,
    "auto": Key(False, "choose the settings at the first start, by the images and the device; your flags stay"),
    "chosen": _derived((), "what auto chose, and why", parts=str),
    "init_from": Key(
        "",
        "start from another run's averaged weights: its WORKDIR, WORKDIR:STEP, WORKDIR:best, or an exported file",
        resumable=True,
    ),
    "mesh": {"data": _silent(-1, "devices that share a batch; -1: all", low=-1, high=MANY)},
}
