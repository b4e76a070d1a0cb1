"""Find the latent codes of given pictures in a trained run, to edit them, mix them, or morph one into another.

examples:
  ganjax project --workdir=runs/mine --image=painting.jpg --out=codes
  ganjax sample --workdir=runs/mine --codes=codes/painting.safetensors --move=3:+2 --out=edited.png
  ganjax sample --workdir=runs/mine --interpolate=codes/a.safetensors,codes/b.safetensors --out=morph.gif
"""

from pathlib import Path

from ganjax.cli.arguments import SEED, add_step, add_workdir, int_type, number_type, path_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "folder of the run")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--image", type=path_type, metavar="FILE", help="a picture")
    what.add_argument("--folder", type=path_type, metavar="DIR", help="a folder of pictures")
    parser.add_argument("--out", required=True, type=path_type, metavar="DIR", help="folder for the codes and images")
    parser.add_argument("--steps", type=int_type(10, 100_000), default=200, help="of gradient descent (%(default)s)")
    text = "nearest samples at which the search begins (%(default)s)"
    parser.add_argument("--starts", type=int_type(1, 64), default=2, help=text)
    parser.add_argument("--plus", action="store_true", help="W+: a code for each layer; nearer, but harder to edit")
    text = "distance of features: EfficientNet-Lite0's, or LPIPS, whose weights are downloaded once (%(default)s)"
    parser.add_argument("--perceptual", choices=("lite0", "lpips"), default="lite0", help=text)
    text = "weight of the mean square of pixels (%(default)s)"
    parser.add_argument("--pixels", type=number_type(0, 1e6), default=1.0, help=text)
    parser.add_argument("--seed", type=int_type(0, SEED), default=0, help="of the noise on the way (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace codes of other settings or pictures")
    add_step(parser)


def run(options) -> None:
    """Write the codes. Raises UserError for an error that the user can correct."""
    import ganjax
    from ganjax.data import formats
    from ganjax.errors import UserError
    from ganjax.inference import projected_files, provenance
    from ganjax.inference.latents import Space
    from ganjax.inference.projection import Projector
    from ganjax.workdir import run_folder

    model = ganjax.load(options.workdir, options.step)
    run_folder.check_apart(options.out, run_folder.roots(model.config.data), "--out")
    if options.folder:
        run_folder.check_apart(options.out, {"--folder": Path(options.folder)}, "--out")
    if formats.promises(Path(options.out).name) and not Path(options.out).is_dir():
        raise UserError(f"--out={options.out} is the name of a picture: give a folder, for several files")
    space = Space(model)
    if options.plus and not space.styled:
        raise UserError(f"--plus: {model.config.recipe} gives all its layers one latent; leave it out")
    flag = "--image" if options.image else "--folder"
    pictures = projected_files.source(options.image or options.folder, space, flag)
    settings = {name: getattr(options, name) for name in ("steps", "plus", "pixels", "perceptual")}
    record = provenance.record(**provenance.of_model(model, options.workdir), method="project", seed=options.seed)
    paths = projected_files.write(Projector(space, **settings), pictures, Path(options.out), record | settings,
                                  options.starts, options.seed, options.overwrite)  # fmt: skip
    print(paths[0] if len(paths) == 1 else f"codes of {len(paths)} pictures in {options.out}")
