"""The one entry: python launch.py train | sweep | sample | translate | evaluate."""

import argparse
import json
import logging
import os
import sys
import warnings
from pathlib import Path

VERBS = ("train", "sweep", "sample", "translate", "evaluate")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="launch.py", description="ganjax: GANs for art on JAX.", allow_abbrev=False)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))

    def verb(name: str, text: str, epilog: str = "") -> argparse.ArgumentParser:
        raw = argparse.RawDescriptionHelpFormatter
        return verbs.add_parser(
            name, help=text, description=text, epilog=epilog, formatter_class=raw, allow_abbrev=False
        )

    train = verb(
        "train",
        "Train a GAN. The same command again goes on where the last one stopped.",
        "examples:\n"
        "  python launch.py train --config=configs/dcgan_art.py --workdir=runs/mine --config.data.path=PAINTINGS\n"
        "  python launch.py train --config=configs/demo.py:debug --workdir=runs/try\n\n"
        "every line of the config is a flag, --config.KEY=VALUE: --config.batch_size=32 --config.data.resolution=32\n"
        "a TPU pod: the same command on every host, with --distributed",
    )
    train.add_argument("--config", required=True, type=place, metavar="FILE.py[:debug]", help="a file of configs/")
    train.add_argument(
        "--workdir", required=True, type=place, metavar="DIR", help="where checkpoints, samples and report.html go"
    )
    train.add_argument("--distributed", action="store_true", help="join the other hosts of a pod or cluster")
    train.add_argument("--coordinator", metavar="HOST:PORT", help="of host 0, where JAX cannot find it out")
    train.add_argument("--num_processes", type=int, metavar="N", help="hosts, likewise")
    train.add_argument("--process_id", type=int, metavar="I", help="this host, likewise")

    sweep = verb(
        "sweep",
        "Train and measure a grid of configs and seeds, in turn; write one table. The same command again goes on.",
        "examples:\n"
        "  python launch.py sweep --config=configs/sweeps/losses.py --workdir=runs/losses --config.data.path=ART\n\n"
        "--config.KEY=VALUE is for every run. A sweep's file says what get_sweep() returns: see ganjax/sweep.py",
    )
    sweep.add_argument("--config", required=True, type=place, metavar="FILE.py", help="a file of configs/sweeps/")
    sweep.add_argument(
        "--workdir", required=True, type=place, metavar="DIR", help="for sweep.md, .csv, .png and a folder each run"
    )

    sample = verb("sample", "Draw images from a trained run.")
    sample.add_argument("--workdir", required=True, type=place, metavar="DIR", help="of the run")
    sample.add_argument("--out", required=True, type=place, metavar="DIR", help="folder for the PNGs")
    sample.add_argument("--num", type=at_least(1), default=64, help="how many (%(default)s)")
    sample.add_argument("--seed", type=at_least(0), default=0, help="another seed, other images (%(default)s)")
    sample.add_argument("--grid", action="store_true", help="one picture with all of them: DIR/grid.png")
    sample.add_argument(
        "--label",
        default="",
        metavar="CLASS|all",
        help="of a conditional run: a class, or attributes as its classes join them, * for any; all: each, in turn",
    )
    sample.add_argument("--step", type=step, metavar="N|best", help="checkpoint; the newest by default")

    translate = verb(
        "translate",
        "Translate images with a run from image to image: a file, a folder with all below it, or a video.",
        "examples:\n"
        "  python launch.py translate --workdir=runs/monet --input=photo.jpg --out=painted\n"
        "  python launch.py translate --workdir=runs/monet --input=PHOTOS --out=painted --strength=0.7 --keep_color\n\n"
        "Names, sizes, alpha and formats stay. Above a megapixel an image goes through in tiles (--tile=fast);\n"
        "--tile=exact gives what the whole image would, slowly, with layers kept on disk.",
    )
    translate.add_argument("--workdir", required=True, type=place, metavar="DIR", help="of the run")
    translate.add_argument(
        "--input", required=True, type=place, metavar="PATH", help="an image, a folder of images, or a video"
    )
    translate.add_argument("--out", required=True, type=place, metavar="DIR", help="folder for the translations")
    translate.add_argument("--direction", choices=("ab", "ba"), default="ab", help="from A to B, or back (%(default)s)")
    translate.add_argument("--strength", type=float, default=1.0, metavar="0..1", help="0: the image as it is")
    translate.add_argument("--keep_color", action="store_true", help="the colours of the image, lightness of the new")
    translate.add_argument("--tile", choices=("auto", "whole", "fast", "exact"), default="auto", help="%(default)s")
    translate.add_argument("--overwrite", action="store_true", help="replace files that are there")
    translate.add_argument("--step", type=step, metavar="N|best", help="checkpoint; the newest by default")

    evaluate = verb(
        "evaluate",
        "Measure a run against its data, or one folder of images against another.",
        "examples:\n"
        "  python launch.py evaluate --workdir=runs/mine --sheet=near.png\n"
        "  python launch.py evaluate --real=PAINTINGS --fake=SAMPLES --metrics=fid_clean,kid_clean --out=fid.json\n"
        "  python launch.py evaluate --workdir=runs/mine --watch      beside the training, until it ends\n\n"
        "docs/metrics.md says what each metric sees. Weights of networks are fetched once, or given with --weights.",
    )
    evaluate.add_argument("--workdir", type=place, metavar="DIR", help="of the run")
    evaluate.add_argument("--real", type=place, metavar="DIR|.npz", help="real images")
    evaluate.add_argument("--fake", type=place, metavar="DIR|.npz", help="generated images")
    evaluate.add_argument("--data", type=place, metavar="DIR", help="where the run's images are now, if they moved")
    evaluate.add_argument("--data_a", type=place, metavar="DIR", help="likewise, of domain A; --data_b of B")
    evaluate.add_argument("--data_b", type=place, metavar="DIR", help=argparse.SUPPRESS)
    evaluate.add_argument("--content", type=place, metavar="DIR", help="photographs that were stylised, for artfid")
    evaluate.add_argument("--metrics", metavar="A,B", help="names, with commas; by default those without a download")
    evaluate.add_argument("--list", action="store_true", help="say what metrics there are, and end")
    evaluate.add_argument("--num", type=at_least(2), default=2000, help="samples of the run (%(default)s)")
    evaluate.add_argument(
        "--resolution", type=at_least(16), help="crop folders' images to this square; else as they are"
    )
    evaluate.add_argument("--seed", type=at_least(0), default=0, help="of all that is drawn (%(default)s)")
    evaluate.add_argument("--seeds", type=at_least(1), default=1, help="samples of so many seeds: mean and interval")
    evaluate.add_argument("--step", type=step, metavar="N|best", help="checkpoint; the newest by default")
    evaluate.add_argument(
        "--weights", type=place, metavar="PATH", help="file or folder of networks' weights ($GANJAX_WEIGHTS)"
    )
    evaluate.add_argument("--few", action="store_true", help="allow FID of fewer than 2048 images a side")
    evaluate.add_argument(
        "--sheet", type=place, metavar="FILE.png", help="picture: the images nearest to real ones, beside those"
    )
    evaluate.add_argument("--watch", action="store_true", help="measure each checkpoint of the run as it comes")
    evaluate.add_argument("--json", action="store_true", help="print JSON, with each metric's whole protocol")
    evaluate.add_argument("--out", type=place, metavar="FILE.json", help="also write that JSON there")
    return top


def place(text: str) -> str:
    """Return the path with "~" expanded: of `--workdir=~/x` a shell leaves it as it is."""
    from ganjax.names import expanded

    if not text:
        raise argparse.ArgumentTypeError("no place is given")
    try:
        return str(expanded(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def at_least(low: int):
    """Return the argparse type of an integer that is `low` or more."""

    def whole(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} must be at least {low}")
        return value

    return whole


def step(text: str) -> int | str:
    return text if text == "best" else int(text)


def main(argv: list[str]) -> int:
    """Run one verb; return the exit status. What the user can mend is one line, never a traceback."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)  # before imports of others set it up
    options, rest = parser().parse_known_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("absl", "asyncio", "orbax", "jax", "grain", "matplotlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of theirs comes back as an exception
    sys.unraisablehook = unraisable
    from ganjax.errors import UserError  # the imports are here so that --help is quick

    keep_programs()
    try:
        verbs = {"train": train, "sweep": sweep, "sample": sample, "translate": translate, "evaluate": evaluate}
        verbs[options.verb](options, overrides(options, rest))
    except (UserError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        print(f"error: {error}", file=sys.stderr)
        sys.unraisablehook = lambda _: None  # a checkpoint that was cut off complains again at exit
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def unraisable(event) -> None:
    """Pass over what a checkpoint's writers say, each, when the write failed: the error itself comes once."""
    if "Event loop is closed" not in str(event.exc_value):
        sys.__unraisablehook__(event)


def overrides(options: argparse.Namespace, rest: list[str]) -> list[str]:
    """Return the --config.KEY=VALUE flags of `train` and `sweep`; `--config.KEY VALUE` is taken too.

    UserError for another flag.
    """
    from ganjax.errors import UserError, nearest

    flags, rest = [], list(rest)
    while rest:
        flag = rest.pop(0)
        if options.verb not in ("train", "sweep") or not flag.startswith("--config."):
            known = [f"--{name}" for name in vars(options) if name != "verb"]
            name = flag.split("=")[0]
            raise UserError(f"{options.verb}: {name} is not known{nearest(name, known)}")
        if "=" not in flag:
            if not rest or rest[0].startswith("--"):
                raise UserError(f"{flag} needs a value: {flag}=VALUE")
            flag = f"{flag}={rest.pop(0)}"
        flags.append(flag)
    return flags


def train(options: argparse.Namespace, flags: list[str]) -> None:
    from ganjax import configfile, parallel
    from ganjax.errors import UserError

    config = configfile.load_file(options.config, flags)
    hosts = options.coordinator, options.num_processes, options.process_id
    if any(value is not None for value in hosts) and not options.distributed:
        raise UserError("--coordinator, --num_processes and --process_id need --distributed")
    parallel.start(options.distributed, *hosts, config.deterministic, config.precision)
    from ganjax.train import train

    train(config, options.workdir)


def sweep(options: argparse.Namespace, flags: list[str]) -> None:
    from ganjax import parallel
    from ganjax import sweep as sweeps
    from ganjax.errors import UserError

    plan = sweeps.read(options.config)
    if any(flag.startswith("--config.seed=") for flag in flags):
        raise UserError("--config.seed: the sweep's own seeds are run; change them in its file")
    first = sweeps.settings(plan, next(iter(plan.points)), plan.seeds[0], flags)
    parallel.start(deterministic=first.deterministic, precision=first.precision)
    results = sweeps.run(plan, options.workdir, flags)
    if results is None:
        print("stopped; the same command goes on from there")
        return
    print((Path(options.workdir) / "sweep.md").read_text(), end="")
    print(f"table: {options.workdir}/sweep.md, .csv, .png")
    failed = sum("error" in run for runs in results.values() for run in runs)
    if failed:
        total = sum(map(len, results.values()))
        raise UserError(f"{failed} of {total} runs failed: see above; the same command tries them again")


def sample(options: argparse.Namespace, _) -> None:
    import ganjax
    from ganjax import grid
    from ganjax.errors import UserError

    model = ganjax.load(options.workdir, options.step)
    wishes = [options.label]
    if options.label == "all":
        if model.labels is None:
            raise UserError("--label=all: this run is not conditional")
        wishes = list(model.labels.classes)
    out, title = apart(model.config, options), f"{Path(options.workdir).name}, {model.meta['images']:,} images seen"
    rows = []
    for wish in wishes:
        images = model.sample(options.num, options.seed, progress=sys.stderr.isatty(), label=wish)
        if options.grid:
            rows.append((f"{wish or title}, seed {options.seed}", images))
        else:
            grid.save_each(images, out / wish if len(wishes) > 1 else out, f"{options.seed}-")
    if options.grid:
        print(grid.save_sheet(rows, grid.columns(options.num), out / "grid.png"))
    else:
        print(f"{len(wishes) * options.num} images in {options.out}")


def apart(config, options: argparse.Namespace) -> Path:
    """Return --out. UserError where it lies among the images that the run learns from."""
    from ganjax import rundir

    rundir.check_apart(options.out, rundir.roots(config.data), "--out")
    return Path(options.out)


def translate(options: argparse.Namespace, _) -> None:
    import ganjax
    from ganjax import files, video

    model = ganjax.load(options.workdir, options.step)
    apart(model.config, options)
    settings = {name: getattr(options, name) for name in ("direction", "strength", "keep_color", "tile")}
    done = files.translate(model, options.input, options.out, options.overwrite, **settings)
    noun = "frame" if Path(options.input).suffix.lower() in video.ENDINGS else "image"
    print(f"{done} {noun}{'s' if done > 1 else ''} in {options.out}")


def evaluate(options: argparse.Namespace, _) -> None:
    import jax

    from ganjax import evaluate, parallel, rundir, watch
    from ganjax.errors import UserError

    if options.list:
        print(evaluate.listing())
        return
    names = tuple(options.metrics.split(",")) if options.metrics else evaluate.DEFAULT
    settings = evaluate.Options(options.seed, options.weights, options.few)
    pair = options.real and options.fake
    if bool(options.workdir) == bool(pair) or (options.workdir and (options.real or options.fake)):
        raise UserError("give either --workdir=DIR, or --real=DIR and --fake=DIR")
    places = {"path": options.data, "a": options.data_a, "b": options.data_b}
    places = {key: where for key, where in places.items() if where}
    of_a_run = {
        "--data, --data_a and --data_b": places,
        "--watch": options.watch,
        "--seeds": options.seeds > 1,
        "--step": options.step is not None,
    }
    of_a_pair = {"--resolution": options.resolution, "--content": options.content}
    not_watching = {name: given for name, given in of_a_run.items() if name in ("--seeds", "--step")}
    not_watching |= {"--sheet": options.sheet, "--json": options.json, "--out": options.out}
    for flag, given in (of_a_run if pair else of_a_pair).items():
        if given:
            raise UserError(f"{flag} is for {'--workdir' if pair else '--real and --fake'}")
    for flag, given in not_watching.items() if options.watch else ():
        if given:
            raise UserError(f"{flag} does not go with --watch, which writes metrics.jsonl into the workdir")
    with jax.set_mesh(parallel.make_mesh(-1, jax.device_count())):
        if options.watch:
            for row in watch.watch(options.workdir, names, options.num, settings, places=places):
                results = {name: result for name, result in row.items() if isinstance(result, dict)}
                print(f"{row['images']:,} images\n{evaluate.table(results)}", flush=True)
            return
        if pair:
            if options.sheet:
                rundir.check_apart(options.sheet, {"--real": options.real, "--fake": options.fake}, "--sheet")
            args = options.resolution, settings, options.content, options.sheet
            results = evaluate.folders(options.real, options.fake, names, *args)
        else:
            args = options.num, settings, options.step, options.seeds, options.sheet, places
            results = evaluate.workdir(options.workdir, names, *args)
    print(json.dumps(results, indent=2) if options.json else evaluate.table(results))
    if options.out:
        evaluate.write(results, options.out)
    if options.sheet:
        print(f"nearest: {options.sheet}")
    failed = [name for name, result in results.items() if "error" in result]
    if failed:
        raise UserError(f"{', '.join(failed)} could not be computed: see above")


def keep_programs() -> None:
    """Let JAX keep compiled programs in the user's cache, up to 2 GiB, unless JAX_COMPILATION_CACHE_DIR says where.

    Each kind of machine has a folder of its own: in a home that several share, one's code may not run on another.
    """
    import jax

    from ganjax.data import cache

    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache.root() / "programs" / cache.machine()))
        jax.config.update("jax_compilation_cache_max_size", 2 << 30)
    # A disk that is full or read-only is no matter; and no program with a call of oneDNN can be kept.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def large_pages() -> None:
    """Start this program again with glibc's malloc asking Linux for large pages, which glibc reads at its start only.

    XLA takes its memory anew at every step: large pages made DCGAN-64 a quarter faster on 2 cores.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    large_pages()
    raise SystemExit(main(sys.argv[1:]))
