"""Translate a file, a folder with its sub-folders, or a video, with a run from image to image.

examples:
  ganjax translate --workdir=runs/monet --input=photo.jpg --out=painted
  ganjax translate --workdir=runs/monet --input=PHOTOS --out=painted --strength=0.7 --keep_color

Names, sizes, alpha and formats are kept. Images above a megapixel are translated in tiles (--tile=fast);
--tile=exact gives the result of the whole image, slowly, with activations on disk.
"""

from ganjax.cli.arguments import add_step, add_workdir, int_type, number_type, path_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "folder of the run")
    text = "an image, a folder of images, or a video"
    parser.add_argument("--input", required=True, type=path_type, metavar="PATH", help=text)
    parser.add_argument("--out", required=True, type=path_type, metavar="DIR", help="folder for the translations")
    parser.add_argument("--direction", choices=("ab", "ba"), default="ab", help="from A to B, or back (%(default)s)")
    text = "blend of the image (0) and its translation (1, default)"
    parser.add_argument("--strength", type=number_type(0, 1), default=1.0, metavar="0..1", help=text)
    parser.add_argument("--keep_color", action="store_true", help="keep the image's colours, change its lightness only")
    text = "how to translate large images (%(default)s)"
    parser.add_argument("--tile", choices=("auto", "whole", "fast", "exact"), default="auto", help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files instead of skipping them")
    parser.add_argument(
        "--max_pixels",
        type=int_type(1, 10**11),
        metavar="N",
        help="largest image, in pixels (default: that of the run)",
    )
    parser.add_argument("--left_half", action="store_true", help="translate A of pictures that hold A and B")
    add_step(parser)


def run(options) -> None:
    """Write the translations. Raises UserError for an error that the user can correct."""
    import ganjax
    from ganjax.inference import files, provenance
    from ganjax.workdir import run_folder

    model = ganjax.load(options.workdir, options.step)
    run_folder.check_apart(options.out, run_folder.roots(model.config.data), "--out")
    settings = {name: getattr(options, name) for name in ("direction", "strength", "keep_color", "tile")}
    fields = {**provenance.of_model(model, options.workdir), "method": f"translate_{options.direction}", **settings}
    settings |= {"overwrite": options.overwrite, "max_pixels": options.max_pixels, "halved": options.left_half}
    results = files.translate(model, options.input, options.out, record=provenance.record(**fields), **settings)
    print(files.report(results, options.out))
