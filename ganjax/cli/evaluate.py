"""Measure a run against its data, or one folder of images against another.

examples:
  ganjax evaluate --workdir=runs/mine --sheet=near.png
  ganjax evaluate --real=PAINTINGS --fake=SAMPLES --metrics=fid_clean,kid_clean --out=fid.json
  ganjax evaluate --workdir=runs/mine --watch      beside the training, until it ends

docs/measure.md says what each metric sees. Weights of networks are fetched once, or given with --weights.
"""

import argparse
import json
import sys

from ganjax.cli.arguments import IMAGES, SEED, add_step, add_workdir, place, whole


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "of the run", required=False)
    parser.add_argument("--real", type=place, metavar="DIR|.npz", help="real images")
    parser.add_argument("--fake", type=place, metavar="DIR|.npz", help="generated images")
    parser.add_argument("--data", type=place, metavar="DIR", help="where the run's images are now, if they moved")
    parser.add_argument("--data_a", type=place, metavar="DIR", help="likewise, of domain A; --data_b of B")
    parser.add_argument("--data_b", type=place, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--content", type=place, metavar="DIR", help="photographs that were stylised, for artfid")
    parser.add_argument("--metrics", metavar="A,B", help="names, with commas; by default those without a download")
    parser.add_argument("--list", action="store_true", help="say what metrics there are, and end")
    parser.add_argument("--num", type=whole(2, IMAGES), default=2000, help="samples of the run (%(default)s)")
    parser.add_argument(
        "--resolution", type=whole(16, 16384), help="crop folders' images to this square; else as they are"
    )
    parser.add_argument("--seed", type=whole(0, SEED), default=0, help="of all that is drawn (%(default)s)")
    parser.add_argument("--seeds", type=whole(1, 10_000), default=1, help="samples of so many seeds: mean and interval")
    add_step(parser)
    parser.add_argument(
        "--weights", type=place, metavar="PATH", help="file or folder of networks' weights ($GANJAX_WEIGHTS)"
    )
    parser.add_argument(
        "--max_pixels", type=whole(1, 10**11), metavar="N", help="larger images of folders are left out (200 million)"
    )
    parser.add_argument("--few", action="store_true", help="allow FID of fewer than 2048 images a side")
    parser.add_argument(
        "--sheet", type=place, metavar="FILE.png", help="picture: the images nearest to real ones, beside those"
    )
    parser.add_argument("--watch", action="store_true", help="measure each checkpoint of the run as it comes")
    parser.add_argument("--json", action="store_true", help="print JSON, with each metric's whole protocol")
    parser.add_argument("--out", type=place, metavar="FILE.json", help="also write that JSON there")


def run(options) -> None:
    """Measure, and print the table. Raises UserError if a metric failed, and for what the user can mend."""
    import jax

    from ganjax.errors import UserError
    from ganjax.metrics import evaluate
    from ganjax.system import devices

    if options.list:
        print(evaluate.listing())
        return
    check(options)
    names = evaluate.DEFAULT if options.metrics is None else metric_names(options.metrics)
    with jax.set_mesh(devices.make_mesh(-1, jax.device_count())):
        if options.watch:
            print_watched(options, names)
            return
        results = (of_folders if options.real else of_run)(options, names)
    print(json.dumps(results, indent=2) if options.json else evaluate.table(results))
    if options.out:
        evaluate.write(results, options.out)
    if options.sheet:
        print(f"nearest: {options.sheet}", file=sys.stderr if options.json else sys.stdout)
    failed = [name for name, result in results.items() if "error" in result]
    if failed:
        raise UserError(f"{', '.join(failed)} could not be computed: see above")


def check(options) -> None:
    """Raises UserError for flags that do not go together, and for files that could not be written after the work."""
    from ganjax.errors import UserError
    from ganjax.system import atomic
    from ganjax.system.names import expanded

    if options.seed + options.seeds - 1 > SEED:
        raise UserError(f"--seeds={options.seeds} from --seed={options.seed} on go beyond the last seed, {SEED}")
    pair = options.real and options.fake
    if bool(options.workdir) == bool(pair) or (options.workdir and (options.real or options.fake)):
        raise UserError("give either --workdir=DIR, or --real=DIR and --fake=DIR")
    of_a_run = {
        "--data, --data_a and --data_b": places(options),
        "--watch": options.watch,
        "--seeds": options.seeds > 1,
        "--step": options.step is not None,
    }
    of_a_pair = {"--max_pixels": options.max_pixels, "--resolution": options.resolution, "--content": options.content}
    not_watching = {name: of_a_run[name] for name in ("--seeds", "--step")}
    not_watching |= {"--sheet": options.sheet, "--json": options.json, "--out": options.out}
    for flag, value in (of_a_run if pair else of_a_pair).items():
        if value:
            raise UserError(f"{flag} is for {'--workdir' if pair else '--real and --fake'}")
    for flag, value in not_watching.items():
        if value and options.watch:
            raise UserError(f"{flag} does not go with --watch, which writes metrics.jsonl into the workdir")
    for flag, path in (("--out", options.out), ("--sheet", options.sheet)):
        if path:
            atomic.check_writable(expanded(path, flag), flag)  # now, not after the work


def places(options) -> dict[str, str]:
    """Return {key of config.data: folder} of the flags that say where the run's images are now."""
    named = {"path": options.data, "a": options.data_a, "b": options.data_b}
    return {key: where for key, where in named.items() if where}


def settings(options):
    """Return the `Options` of the metrics."""
    from ganjax.metrics.suite import Options

    return Options(options.seed, options.weights, options.few)


def print_watched(options, names: tuple[str, ...]) -> None:
    """Print the metrics of each checkpoint as it comes."""
    from ganjax.metrics import evaluate, watch

    for row in watch.watch(options.workdir, names, options.num, settings(options), places=places(options)):
        results = {name: result for name, result in row.items() if isinstance(result, dict)}
        print(f"{row['images']:,} images\n{evaluate.table(results)}", flush=True)


def of_folders(options, names: tuple[str, ...]) -> dict[str, dict]:
    """Return the metrics of --fake against --real."""
    from ganjax.data import images
    from ganjax.metrics import evaluate
    from ganjax.workdir import run_folder

    if options.sheet:
        run_folder.check_apart(options.sheet, {"--real": options.real, "--fake": options.fake}, "--sheet")
    limit = options.max_pixels or images.MAX_PIXELS
    others = options.resolution, settings(options), options.content, options.sheet, limit
    return evaluate.folders(options.real, options.fake, names, *others)


def of_run(options, names: tuple[str, ...]) -> dict[str, dict]:
    """Return the metrics of a run against its data."""
    from ganjax.metrics import evaluate

    others = settings(options), options.step, options.seeds, options.sheet, places(options)
    return evaluate.workdir(options.workdir, names, options.num, *others)


def metric_names(text: str) -> tuple[str, ...]:
    """Return the names that --metrics lists. Raises UserError for a text that is no list of names."""
    from ganjax.config import numbers
    from ganjax.errors import UserError

    try:
        names = numbers.parse_tuple(text)
    except ValueError:
        names = ()
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"--metrics={text[:100]}: names are wanted, with commas; launch.py evaluate --list")
    return names
