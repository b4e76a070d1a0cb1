"""The keys of a run's config, with their defaults: what every run has, and what each family of recipes adds."""

from ml_collections import ConfigDict

from ganjax.errors import UserError, nearest


def base() -> ConfigDict:
    """Return the keys that the loop itself needs. Durations are in images."""
    config = ConfigDict()
    config.recipe = ""  # file name under ganjax/recipes/
    config.task = "generate"  # file name under ganjax/tasks/: what the data are; or translate, restore
    config.seed = 0
    config.batch_size = 64  # global, over all devices and hosts
    config.total_images = 1_000_000
    config.schedule_images = 0  # horizon of the schedules; 0: the total_images that the run began with
    config.steps_per_call = 1  # that the device does in one go: more where steps take less than a few milliseconds
    config.precision = "float32"  # or bfloat16 (compute only), float64 (checks)
    config.deterministic = False  # on a GPU: the same bits each time, slower
    config.metrics = ()  # of EMA samples: ("rand_fd", "swd"); names: launch.py evaluate --list
    config.metrics_images = 1000  # samples, and real images, that they compare
    config.metrics_every_images = 0  # 0: at each checkpoint

    config.data = ConfigDict()
    config.data.name = "atelier"  # folder | mnist | stacked_mnist | atelier | tfds:<name>; `path` alone means folder
    config.data.path = ""
    config.data.a = ""
    config.data.b = ""
    config.data.paired = "auto"  # yes, no; auto: whether their names say so
    config.data.pairs_fit = "ask"  # where a pair's shapes differ: stretch, B to A's shape, or crop, to the common size
    config.data.split_at = 0.0  # where B begins in pictures that hold both: pixels, or a share; 0: 2:1, in the middle
    config.data.side_by_side = 0.0  # filled in by `train`: width / height of such pictures
    config.data.split = "train"
    config.data.labels = False  # from the first sub-folder, or the data set's own
    config.data.attributes = ""  # what parts a class's name into several: "-"; or "/", every sub-folder's level
    config.data.balance = 0.0  # 0: images as often as they come; 1: all classes equally often
    config.data.resolution = 64  # height
    config.data.width = 0  # 0: square
    config.data.load_size = 0  # height of the cached images, >= resolution; 0: resolution
    config.data.channels = 3  # 1: gray
    config.data.windows = 0  # > 0: folders' images, at most so many pixels a side, in windows of load_size; few suffice
    config.data.fit = "crop"  # or pad, on white
    config.data.max_pixels = 200_000_000  # larger files are skipped
    config.data.max_damaged = 0.05  # share of a folder of more than 100 files
    config.data.threads = 2  # that read and decode
    config.data.resident = "auto"  # all images on the device, as uint8: yes, no, or auto, if they fit
    config.data.classes = ()  # filled in by `train`: names and counts of the labels
    config.data.class_counts = ()
    config.data.atelier = ConfigDict()
    config.data.atelier.num_images = 6000
    config.data.atelier.styles = ()  # empty: all

    config.on_divergence = "stop"  # or rollback: to the last checkpoint, with other noise, three times at most
    config.health = True  # watch for collapse, overfitting, divergence

    config.augment = ConfigDict()  # on the device; off for evaluation
    config.augment.crop_scale = 1.0  # random resized crop: least share of the area; 1: off
    config.augment.flip = True
    config.augment.rotate = 0.0  # degrees, at most, each way
    config.augment.brightness = 0.0  # at most +- this, of the range [-1, 1]
    config.augment.contrast = 0.0  # factor in 1 +- this
    config.augment.saturation = 0.0  # factor in 1 +- this

    config.checkpoint = ConfigDict()
    config.checkpoint.every_images = 50_000
    config.checkpoint.every_seconds = 0.0  # also; 0: off
    config.checkpoint.keep_last = 2
    config.checkpoint.keep_every_images = 0  # also; 0: off
    config.checkpoint.keep_best = ""  # also: "min:name" or "max:name" of a logged scalar

    config.report = ConfigDict()
    config.report.every_images = 2_000  # scalars
    config.report.samples_every_images = 25_000  # grids
    config.report.grid = 64  # images in a grid
    config.report.tensorboard = True

    config.branch = ConfigDict()  # go on in a new workdir, with other settings, from a checkpoint of another run
    config.branch.workdir = ""  # of that run
    config.branch.step = ""  # of that checkpoint: a number, or best; empty: the newest
    config.branch.at = 0  # filled in by `train`, with all below: its step, its images, its hash and what changed
    config.branch.images = 0
    config.branch.attempt = 0  # its rollbacks, whose noise the branch goes on with
    config.branch.checkpoint = ""
    config.branch.changed = ()

    config.mesh = ConfigDict()
    config.mesh.data = -1  # devices; -1: all
    return config


def noise_defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys of recipes from noise to a config, at values that change nothing, and return it."""
    config.d_steps = 1  # updates of D for each of G, each on batch_size real images of its own
    config.accumulate = 1  # parts of the batch, one after the other: less memory, the same result
    config.diffaugment = ""  # of all that D sees: "color,translation,cutout", or a preset: full, palette, paint

    config.loss = ConfigDict()
    config.loss.kind = "non_saturating"  # saturating, least_squares, hinge, wasserstein, relativistic
    config.loss.label_smoothing = 0.0  # one-sided: the target of real images is 1 - this
    config.loss.instance_noise = 0.0  # std at the start, on images in [-1, 1]; falls to 0 over the schedule
    config.loss.feature_matching = 0.0  # weight, in G's loss, of the distance between D's mean features

    config.penalty = ConfigDict()  # weights; 0: off
    config.penalty.r1 = 0.0  # gamma / 2 |grad|^2 on real images
    config.penalty.r2 = 0.0  # on generated ones
    config.penalty.wgan_gp = 0.0  # two-sided, between real and generated images
    config.penalty.wgan_gp_one_sided = 0.0
    config.penalty.dragan = 0.0  # about real images
    config.penalty.every = 1  # of these five: once in so many updates of D, as an update of their own, times that
    config.penalty.lecam = 0.0
    config.penalty.lecam_decay = 0.99
    config.penalty.lecam_start_images = 0
    config.penalty.cr = 0.0  # consistency under shifts and mirrors (or diffaugment's policy): of real images
    config.penalty.bcr = 0.0  # of real and generated ones
    config.penalty.zcr_d = 0.0  # of images of near latents, for D ...
    config.penalty.zcr_g = 0.0  # ... and their distance, for G
    config.penalty.zcr_std = 0.03  # how near
    config.penalty.orthogonal = 0.0  # of G's kernels

    config.condition = ConfigDict()
    config.condition.kind = "none"  # projection, acgan: needs data.labels
    config.condition.dropout = 0.0  # share of labels that are hidden from both networks
    config.condition.d_weight = 1.0  # of the class loss of acgan
    config.condition.g_weight = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.g_lr = 2e-4
    config.optimizer.d_lr = 2e-4
    config.optimizer.b1 = 0.5
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8
    config.optimizer.schedule = "constant"  # or linear, cosine: to 0
    config.optimizer.decay_start = 0.0  # share of the run before the fall begins
    config.optimizer.warmup_images = 0
    config.optimizer.clip_norm = 0.0  # global norm of each network's gradient; 0: off

    config.ema = ConfigDict()
    config.ema.half_life_images = 10_000.0
    config.ema.ramp = 0.05  # half-life at most this share of the images seen; 0: off
    config.ema.start_images = 0  # before, the average is the newest generator
    return config


def translation_defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys of recipes from image to image to a config, and return it."""
    config.accumulate = 1  # parts of the batch, one after the other: less memory, the same result
    config.task = "translate"
    config.batch_size = 1
    config.report.grid = 8
    config.report.every_images, config.report.samples_every_images = 500, 5_000

    config.loss = ConfigDict()
    config.loss.kind = "least_squares"  # hinge, non_saturating (cross-entropy)
    config.loss.content = 0.0  # weight of what G(a) keeps of a, beside the recipe's own terms
    config.loss.content_kind = "structure"  # of ganjax/losses/content.py; or pooled

    config.optimizer = ConfigDict()
    config.optimizer.g_lr = 2e-4
    config.optimizer.d_lr = 2e-4
    config.optimizer.b1 = 0.5
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8
    config.optimizer.schedule = "linear"  # to 0; or constant, cosine
    config.optimizer.decay_start = 0.5  # share of the run before the fall begins
    config.optimizer.warmup_images = 0
    config.optimizer.clip_norm = 0.0  # global norm of each network's gradient; 0: off

    config.ema = ConfigDict()
    config.ema.half_life_images = 1_000.0
    config.ema.ramp = 0.05  # half-life at most this share of the images seen; 0: off
    config.ema.start_images = 0  # before, the average is the newest generator
    return config


def restoration_defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys of recipes that restore to a config, and return it."""
    config = translation_defaults(config)
    config.task = "restore"
    config.damage = ConfigDict()  # training damage is random; previews and metrics use fixed damage
    config.damage.kinds = ()  # of ganjax/augment/damage.py: A is what they make of B, the images of data.path
    config.damage.chance = 0.7  # of each of them
    return config


def completed(config: ConfigDict) -> ConfigDict:
    """Return the config with the keys of its family that it lacks: a run's, from before a key was known."""
    whole = family_defaults(config)
    whole.update(ConfigDict(config.to_dict()))
    return whole


def family_defaults(config: ConfigDict) -> ConfigDict:
    """Return the defaults of the family of recipes that the config belongs to, by its task."""
    families = {"translate": translation_defaults, "restore": restoration_defaults}
    return families.get(config.get("task"), noise_defaults)(base())


def debug(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config, for `arg` "debug" made to last seconds: small batches, few images, 20 steps. ValueError for
    another variant.
    """
    if arg not in ("", "debug"):
        raise UserError(f"the only variant is :debug, not :{arg}{nearest(arg, ['debug'])}")
    if arg:
        config.batch_size = 8
        config.total_images = 160
        config.data.resolution = min(config.data.resolution, 32)
        config.data.atelier.num_images = 64
        config.checkpoint.every_images = 80
        config.report.every_images = 40
        config.report.samples_every_images = 80
        config.report.grid = 16
    return config
