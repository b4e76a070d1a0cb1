"""Sample images from a trained run, or look inside its generator.

examples:
  ganjax sample --workdir=runs/mine --num=64 --truncation=0.7 --grid --out=calm.png
  ganjax sample --workdir=runs/mine --interpolate=3,17,4 --frames=50 --out=loop.gif
  ganjax sample --workdir=runs/mine --mix=0,1,2:3,4,5 --layer=4 --out=mixed.png
  ganjax sample --workdir=runs/mine --directions=10 --out=strips.png
  ganjax sample --workdir=runs/mine --num=8 --move=3:+2.0 --out=moved

Numbers are those of the images of --seed, as in their files' names.
"""

import logging
from pathlib import Path

from ganjax.cli.arguments import IMAGES, SEED, add_step, add_workdir, int_type, number_type, path_type, size_type

log = logging.getLogger(__name__)
NUM, FRAMES, LAYER = 64, 30, 4
# The flags that write one picture, with those that go with each of them; and those of plain samples.
PICTURES = {"interpolate": ("frames", "label"), "mix": ("layer", "label"), "codes": (), "directions": ("by", "label")}
SAMPLES = ("num", "grid", "size", "label")


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "folder of the run")
    text = "folder for the PNGs, or the name of a single picture"
    parser.add_argument("--out", required=True, type=path_type, metavar="DIR", help=text)
    parser.add_argument("--num", type=int_type(1, IMAGES), help=f"number of images ({NUM})")
    parser.add_argument("--seed", type=int_type(0, SEED), default=0, help="seed of the images (%(default)s)")
    parser.add_argument(
        "--grid", action="store_true", help="write one picture of all images: --out=FILE.png, or DIR/grid.png"
    )
    parser.add_argument(
        "--label",
        default="",
        metavar="CLASS|all",
        help="for a conditional run: a class, or attributes joined as in its class names, * for any; all: every class",
    )
    parser.add_argument(
        "--size", type=size_type, metavar="HEIGHTxWIDTH", help="size of the images, for a run of singan (the run's)"
    )
    inside = parser.add_argument_group("inside", "what latent codes give; not for singan and translators")
    inside.add_argument(
        "--truncation",
        type=number_type(0, 2),
        default=1.0,
        metavar="PSI",
        help="distance of codes from their mean, or that of --label: below 1 for calmer images (%(default)s)",
    )
    inside.add_argument("--move", metavar="D:X,...", help="move codes by X deviations along D, a name or number")
    inside.add_argument(
        "--codes", metavar="FILE,...", help="draw the images of codes that `project` wrote, in place of new ones"
    )
    inside.add_argument(
        "--interpolate", metavar="A,B,...", help="write a loop through these images, .gif or .mp4, or a strip; A@CLASS"
    )
    inside.add_argument("--frames", type=int_type(1, 1000), help=f"steps between two images ({FRAMES})")
    inside.add_argument("--mix", metavar="A,B:C,D", help="write the table of these rows in the styles of these columns")
    inside.add_argument("--layer", type=int_type(1, 100), help=f"first layer from the columns ({LAYER})")
    inside.add_argument(
        "--directions",
        type=int_type(1, 100),
        metavar="N",
        help="find N directions, write them to the workdir's directions.json, where you may rename them, and strips",
    )
    inside.add_argument(
        "--by", choices=("pca", "weights"), help="how: pca of w, the default if the run has w, or weights"
    )
    text = "replace images of another run, step or label; old directions are kept as directions-1.json"
    parser.add_argument("--overwrite", action="store_true", help=text)
    add_step(parser)


def run(options) -> None:
    """Write the samples. Raises UserError for an error that the user can correct."""
    import ganjax
    from ganjax.inference import sample_files
    from ganjax.workdir import run_folder

    model = ganjax.load(options.workdir, options.step)
    run_folder.check_apart(options.out, run_folder.roots(model.config.data), "--out")
    check_flags(options)
    if any(getattr(options, name) for name in PICTURES):
        print(_inside(model, options))
        return
    settings = {"label": options.label, "as_grid": options.grid, "overwrite": options.overwrite, "size": options.size}
    if options.truncation != 1 or options.move:
        model = _space(model, options).drawn()
        settings["edits"] = {"truncation": options.truncation, "move": options.move or None}
    paths = sample_files.write(model, options.workdir, options.out, options.num or NUM, options.seed, **settings)
    print(paths[0] if len(paths) == 1 else f"{len(paths)} images in {options.out}")


def check_flags(options) -> None:
    """Raise UserError if flags contradict each other, or would have no effect."""
    from ganjax.errors import UserError

    asked = [name for name in PICTURES if getattr(options, name)]
    if len(asked) > 1 and asked != ["codes", "directions"]:
        raise UserError("--interpolate, --mix, --codes and --directions each write a picture: choose one of them")
    fitting = {flag for name in asked for flag in PICTURES[name]} if asked else set(SAMPLES)
    for flag in dict.fromkeys([*SAMPLES, *sum(PICTURES.values(), ())]):
        if getattr(options, flag) and flag not in fitting:
            places = ["plain samples"] * (flag in SAMPLES) + [
                f"--{name}" for name in PICTURES if flag in PICTURES[name]
            ]
            raise UserError(f"--{flag} goes with {' or '.join(places)} only")
    if options.label == "all" and asked:
        raise UserError(f"--label=all does not go with --{asked[0]}: give one class")


def _space(model, options):
    """Return the model's latent space, with the truncation and the moves that the user asked for."""
    from ganjax.errors import UserError
    from ganjax.inference import directions, provenance
    from ganjax.inference.latents import Space

    moves, space = (), Space(model)
    if options.truncation != 1 and not space.styled and not space.sees_length():
        raise UserError(
            f"--truncation: {model.config.recipe} sees the direction of a latent only, so that truncation changes "
            "nothing: leave it out"
        )
    if options.move:
        weights = provenance.of_model(model, options.workdir)["weights"]
        moves = directions.parse(options.move, directions.read(_directions(options), space, weights))
    return Space(model, options.truncation, moves)


def _directions(options) -> Path:
    from ganjax.inference import directions

    return Path(options.workdir) / directions.FILE


def _inside(model, options) -> Path:
    """Write a loop, strip or table; return its path."""
    from ganjax.errors import UserError
    from ganjax.inference import directions, inside, provenance
    from ganjax.inference.latents import Space
    from ganjax.system import atomic
    from ganjax.system.names import printable

    out, space = inside.picture(options.out, bool(options.interpolate), options.overwrite), _space(model, options)
    fields = provenance.of_model(model, options.workdir)
    asked = {name: getattr(options, name) for name in ("truncation", "move", *PICTURES)}
    record = provenance.record(**fields, seed=options.seed, label=options.label or None, method="inside", **asked)
    if options.interpolate:
        codes = inside.stops(space, options.interpolate, options.seed, options.label)
        return inside.path(space, codes, options.interpolate.split(","), options.frames or FRAMES, out, record)
    if options.mix:
        coarse, colon, fine = options.mix.partition(":")
        if not colon:
            raise UserError(f"--mix={printable(options.mix[:80])}: write ROWS:COLUMNS, such as 0,1,2:3,4,5")
        rows, columns = (inside.stops(space, part, options.seed, options.label, "--mix") for part in (coarse, fine))
        return inside.mixtures(space, rows, columns, options.layer or LAYER, out, record)
    if not options.directions:
        return inside.pictures(space, inside.of_files(space, options.codes), out, record)
    plain, file = Space(model), _directions(options)
    atomic.check_writable(file, "--workdir")
    if file.exists() and not options.overwrite:
        raise UserError(
            f"{file} exists already, perhaps with names of yours: --overwrite finds others, and keeps the old ones in "
            "directions-1.json"
        )
    by = options.by or ("pca" if plain.styled else "weights")
    found = (directions.principal if by == "pca" else directions.of_weights)(plain, options.directions)
    codes = inside.of_files(space, options.codes) if options.codes else space.draw(3, options.seed, options.label)
    path = inside.strips(space, codes, found, out, record)
    if file.exists():
        log.info("the old directions are in %s", directions.keep(file))
    directions.write(file, found, fields["weights"], fields["step"])
    return path
