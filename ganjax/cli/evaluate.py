"""Measure a run against its data, or one folder of images against another.

examples:
  ganjax evaluate --workdir=runs/mine --sheet=near.png
  ganjax evaluate --real=PAINTINGS --fake=SAMPLES --metrics=fid_clean,kid_clean --out=fid.json
  ganjax evaluate --workdir=runs/mine --watch      during training, until it ends

docs/measure.md describes the metrics. Weights of networks are downloaded once, or given with --weights.
"""

import argparse
import json
import sys

from ganjax.cli.arguments import IMAGES, SEED, add_step, add_workdir, int_type, path_type


def add_arguments(parser) -> None:
    """Add the flags of this verb to its parser."""
    add_workdir(parser, "folder of the run", required=False)
    parser.add_argument("--real", type=path_type, metavar="DIR|.npz", help="real images")
    parser.add_argument("--fake", type=path_type, metavar="DIR|.npz", help="generated images")
    parser.add_argument("--data", type=path_type, metavar="DIR", help="where the run's images are now, if they moved")
    parser.add_argument("--data_a", type=path_type, metavar="DIR", help="the same for domain A; --data_b for B")
    parser.add_argument("--data_b", type=path_type, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--content", type=path_type, metavar="DIR", help="photographs that were stylised, for artfid")
    parser.add_argument("--metrics", metavar="A,B", help="names, separated by commas (default: all without a download)")
    parser.add_argument("--list", action="store_true", help="list the metrics and exit")
    parser.add_argument("--num", type=int_type(2, IMAGES), default=2000, help="samples of the run (%(default)s)")
    parser.add_argument(
        "--resolution", type=int_type(16, 16384), help="crop folders' images to a square (default: as they are)"
    )
    parser.add_argument("--seed", type=int_type(0, SEED), default=0, help="seed of all random draws (%(default)s)")
    parser.add_argument(
        "--seeds", type=int_type(1, 10_000), default=1, help="number of seeds to sample with: mean and interval"
    )
    add_step(parser)
    parser.add_argument(
        "--weights", type=path_type, metavar="PATH", help="file or folder of networks' weights ($GANJAX_WEIGHTS)"
    )
    parser.add_argument(
        "--max_pixels", type=int_type(1, 10**11), metavar="N", help="skip larger images of folders (200 million)"
    )
    parser.add_argument("--few", action="store_true", help="allow FID with fewer than 2048 images a side")
    parser.add_argument(
        "--sheet", type=path_type, metavar="FILE.png", help="picture of the images nearest to real ones, next to these"
    )
    parser.add_argument("--watch", action="store_true", help="measure each new checkpoint of the run")
    parser.add_argument("--json", action="store_true", help="print JSON, with the full protocol of each metric")
    parser.add_argument("--out", type=path_type, metavar="FILE.json", help="also write this JSON to a file")


def run(options) -> None:
    """Measure, and print the table. Raises UserError if a metric failed, or for an error that the user can correct."""
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
        results = measure_folders(options, names) if options.real else measure_run(options, names)
    print(json.dumps(results, indent=2) if options.json else evaluate.table(results))
    if options.out:
        evaluate.write(results, options.out)
    if options.sheet:
        print(f"nearest: {options.sheet}", file=sys.stderr if options.json else sys.stdout)
    failed = [name for name, result in results.items() if "error" in result]
    if failed:
        raise UserError(f"{', '.join(failed)} could not be computed: see above")


def check(options) -> None:
    """Raise UserError for flags that do not go together, and for output files that cannot be written."""
    from ganjax.errors import UserError
    from ganjax.system import atomic
    from ganjax.system.names import expanded

    if options.seed + options.seeds - 1 > SEED:
        raise UserError(f"--seeds={options.seeds} from --seed={options.seed} on reach beyond the last seed, {SEED}")
    pair = options.real and options.fake
    if bool(options.workdir) == bool(pair) or (options.workdir and (options.real or options.fake)):
        raise UserError("give either --workdir=DIR, or --real=DIR and --fake=DIR")
    run_only = {
        "--data, --data_a and --data_b": places(options),
        "--watch": options.watch,
        "--seeds": options.seeds > 1,
        "--step": options.step is not None,
    }
    pair_only = {"--max_pixels": options.max_pixels, "--resolution": options.resolution, "--content": options.content}
    not_with_watch = {name: run_only[name] for name in ("--seeds", "--step")}
    not_with_watch |= {"--sheet": options.sheet, "--json": options.json, "--out": options.out}
    for flag, value in (run_only if pair else pair_only).items():
        if value:
            raise UserError(f"{flag} needs {'--workdir' if pair else '--real and --fake'}")
    for flag, value in not_with_watch.items():
        if value and options.watch:
            raise UserError(f"{flag} does not go with --watch, which writes metrics.jsonl into the workdir")
    for flag, path in (("--out", options.out), ("--sheet", options.sheet)):
        if path:
            atomic.check_writable(expanded(path, flag), flag)  # before the work, not after it


def places(options) -> dict[str, str]:
    """Return {key of config.data: folder} of the flags that give the new place of the run's images."""
    folders = {"path": options.data, "a": options.data_a, "b": options.data_b}
    return {key: folder for key, folder in folders.items() if folder}


def settings(options):
    """Return the `Options` of the metrics."""
    from ganjax.metrics.suite import Options

    return Options(options.seed, options.weights, options.few)


def print_watched(options, names: tuple[str, ...]) -> None:
    """Print the metrics of each new checkpoint."""
    from ganjax.metrics import evaluate, watch

    for row in watch.watch(options.workdir, names, options.num, settings(options), places=places(options)):
        results = {name: result for name, result in row.items() if isinstance(result, dict)}
        print(f"{row['images']:,} images\n{evaluate.table(results)}", flush=True)


def measure_folders(options, names: tuple[str, ...]) -> dict[str, dict]:
    """Return the metrics of --fake against --real."""
    from ganjax.data import images
    from ganjax.metrics import evaluate
    from ganjax.workdir import run_folder

    if options.sheet:
        run_folder.check_apart(options.sheet, {"--real": options.real, "--fake": options.fake}, "--sheet")
    limit = options.max_pixels or images.MAX_PIXELS
    arguments = options.resolution, settings(options), options.content, options.sheet, limit
    return evaluate.folders(options.real, options.fake, names, *arguments)


def measure_run(options, names: tuple[str, ...]) -> dict[str, dict]:
    """Return the metrics of a run against its data."""
    from ganjax.metrics import evaluate

    arguments = settings(options), options.step, options.seeds, options.sheet, places(options)
    return evaluate.workdir(options.workdir, names, options.num, *arguments)


def metric_names(text: str) -> tuple[str, ...]:
    """Return the names that --metrics lists. Raises UserError if the text is no list of names."""
    from ganjax.config import numbers
    from ganjax.errors import UserError

    try:
        names = numbers.parse_tuple(text)
    except ValueError:
        names = ()
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"--metrics={text[:100]}: expected names, separated by commas; see launch.py evaluate --list")
    return names
