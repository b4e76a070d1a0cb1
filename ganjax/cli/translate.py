"""Translate images with a run from image to image: a file, a folder with all below it, or a video.

examples:
  ganjax translate --workdir=runs/monet --input=photo.jpg --out=painted
  ganjax translate --workdir=runs/monet --input=PHOTOS --out=painted --strength=0.7 --keep_color

Names, sizes, alpha and formats stay. Above a megapixel an image goes through in tiles (--tile=fast);
--tile=exact gives what the whole image would, slowly, with layers kept on disk.
"""

from ganjax.cli.arguments import add_step, add_workdir, place, share, whole


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "of the run")
    text = "an image, a folder of images, or a video"
    parser.add_argument("--input", required=True, type=place, metavar="PATH", help=text)
    parser.add_argument("--out", required=True, type=place, metavar="DIR", help="folder for the translations")
    parser.add_argument("--direction", choices=("ab", "ba"), default="ab", help="from A to B, or back (%(default)s)")
    parser.add_argument("--strength", type=share, default=1.0, metavar="0..1", help="0: the image as it is")
    parser.add_argument("--keep_color", action="store_true", help="the colours of the image, lightness of the new")
    parser.add_argument("--tile", choices=("auto", "whole", "fast", "exact"), default="auto", help="%(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there, not skip them")
    parser.add_argument(
        "--max_pixels", type=whole(1, 10**11), metavar="N", help="limit of an image's size; the run's own"
    )
    parser.add_argument("--left_half", action="store_true", help="of pictures that hold A and B, as trained on: A")
    add_step(parser)


def run(options) -> None:
    """Write the translations. Raises UserError for what the user can mend."""
    import ganjax
    from ganjax.inference import files, provenance
    from ganjax.workdir import run_folder

    model = ganjax.load(options.workdir, options.step)
    run_folder.check_apart(options.out, run_folder.roots(model.config.data), "--out")
    settings = {name: getattr(options, name) for name in ("direction", "strength", "keep_color", "tile")}
    fields = {**provenance.of_model(model, options.workdir), "method": f"translate_{options.direction}", **settings}
    wishes = {"overwrite": options.overwrite, "max_pixels": options.max_pixels, "halved": options.left_half}
    done = files.translate(model, options.input, options.out, record=provenance.record(**fields), **wishes, **settings)
    print(files.report(done, options.out))
