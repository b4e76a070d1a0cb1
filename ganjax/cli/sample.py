"""Sample images from a trained run."""

from ganjax.cli.arguments import IMAGES, SEED, add_step, add_workdir, int_type, path_type, size_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "folder of the run")
    text = "folder for the PNGs, or the name of a single picture"
    parser.add_argument("--out", required=True, type=path_type, metavar="DIR", help=text)
    parser.add_argument("--num", type=int_type(1, IMAGES), default=64, help="number of images (%(default)s)")
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
    parser.add_argument("--overwrite", action="store_true", help="replace images of another run, step or label")
    add_step(parser)


def run(options) -> None:
    """Write the samples. Raises UserError for an error that the user can correct."""
    import ganjax
    from ganjax.inference import sample_files
    from ganjax.workdir import run_folder

    model = ganjax.load(options.workdir, options.step)
    run_folder.check_apart(options.out, run_folder.roots(model.config.data), "--out")
    settings = {"label": options.label, "as_grid": options.grid, "overwrite": options.overwrite, "size": options.size}
    paths = sample_files.write(model, options.workdir, options.out, options.num, options.seed, **settings)
    print(paths[0] if len(paths) == 1 else f"{len(paths)} images in {options.out}")
