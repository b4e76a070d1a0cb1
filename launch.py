"""The one entry: python launch.py train | sweep | sample | translate | evaluate."""

import os
import signal
import sys

if __name__ == "__main__":
    # Before all else, and kept by the program that replaces this one: what comes stays pending until `run` watches.
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    # glibc's malloc asks Linux for large pages if this stands at its start. XLA takes its memory anew at every step:
    # large pages made DCGAN-64 a quarter faster on 2 cores.
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)

import argparse
import json
import logging
import warnings
from pathlib import Path

from ganjax import console, signals

VERBS = ("train", "sweep", "sample", "translate", "evaluate")
SEED = 2**32 - 1  # at most: `numbers.SEED`
IMAGES = 10_000_000  # at most in one call


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the flags, where argparse prints all that there are."""

    def error(self, message: str):
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def parser() -> Parser:
    top = Parser(prog="launch.py", description="ganjax: GANs for art on JAX.", allow_abbrev=False)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))

    def verb(name: str, text: str, epilog: str = "") -> Parser:
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
    train.add_argument("--num_processes", type=whole(1, 65536), metavar="N", help="hosts, likewise")
    train.add_argument("--process_id", type=whole(0, 65535), metavar="I", help="this host, likewise")

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
    sample.add_argument(
        "--out", required=True, type=place, metavar="DIR", help="folder for the PNGs, or one picture's name"
    )
    sample.add_argument("--num", type=whole(1, IMAGES), default=64, help="how many (%(default)s)")
    sample.add_argument("--seed", type=whole(0, SEED), default=0, help="another seed, other images (%(default)s)")
    sample.add_argument(
        "--grid", action="store_true", help="one picture with all of them: --out=FILE.png, or DIR/grid.png"
    )
    sample.add_argument(
        "--label",
        default="",
        metavar="CLASS|all",
        help="of a conditional run: a class, or attributes as its classes join them, * for any; all: each, in turn",
    )
    sample.add_argument("--overwrite", action="store_true", help="replace images of another run, step or label")
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
    translate.add_argument("--strength", type=share, default=1.0, metavar="0..1", help="0: the image as it is")
    translate.add_argument("--keep_color", action="store_true", help="the colours of the image, lightness of the new")
    translate.add_argument("--tile", choices=("auto", "whole", "fast", "exact"), default="auto", help="%(default)s")
    translate.add_argument("--overwrite", action="store_true", help="replace files that are there, not skip them")
    translate.add_argument(
        "--max_pixels", type=whole(1, 10**11), metavar="N", help="limit of an image's size; the run's own"
    )
    translate.add_argument("--left_half", action="store_true", help="of pictures that hold A and B, as trained on: A")
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
    evaluate.add_argument("--num", type=whole(2, IMAGES), default=2000, help="samples of the run (%(default)s)")
    evaluate.add_argument(
        "--resolution", type=whole(16, 16384), help="crop folders' images to this square; else as they are"
    )
    evaluate.add_argument("--seed", type=whole(0, SEED), default=0, help="of all that is drawn (%(default)s)")
    evaluate.add_argument(
        "--seeds", type=whole(1, 10_000), default=1, help="samples of so many seeds: mean and interval"
    )
    evaluate.add_argument("--step", type=step, metavar="N|best", help="checkpoint; the newest by default")
    evaluate.add_argument(
        "--weights", type=place, metavar="PATH", help="file or folder of networks' weights ($GANJAX_WEIGHTS)"
    )
    evaluate.add_argument(
        "--max_pixels", type=whole(1, 10**11), metavar="N", help="larger images of folders are left out (200 million)"
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


def whole(low: int, high: int = 2_000_000_000):
    """Return the argparse type of an integer from `low` to `high`, written as 64, 1_000 or 1e6."""

    def parse(text: str) -> int:
        from ganjax import numbers

        try:
            value = numbers.whole(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} must be from {low} to {high}")
        return value

    return parse


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]} is no number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value} must be from 0 to 1")
    return value


def step(text: str) -> int | str:
    """Return a checkpoint's step, or "best"."""
    return text if text == "best" else whole(0)(text)


def main(argv: list[str]) -> int:
    """Run one verb; return the exit status. What the user can mend is one line, never a traceback."""
    long = argv[:1] in (["train"], ["sweep"])  # what stays of their work are files, whoever reads the output
    console.start(patient=long)
    options, rest = parser().parse_known_args(argv)
    signals.advice = "; the same command goes on" if long else ""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("absl", "asyncio", "orbax", "jax", "grain", "matplotlib"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of theirs comes back as an exception
    sys.unraisablehook = unraisable
    from ganjax import memory  # the imports are here so that --help is quick
    from ganjax.errors import UserError

    try:
        keep_programs()
        verbs = {"train": train, "sweep": sweep, "sample": sample, "translate": translate, "evaluate": evaluate}
        with memory.enough(memory.FREE):
            verbs[options.verb](options, overrides(options, rest))
    except (UserError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        print(f"error: {console.one_line(error)}", file=sys.stderr)
        return 1
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
    if options.num_processes is not None and (options.process_id or 0) >= options.num_processes:
        raise UserError(f"--process_id={options.process_id} must be below --num_processes={options.num_processes}")
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
        return  # a signal stopped it, of which its run has told
    print((Path(options.workdir) / "sweep.md").read_text(), end="")
    print(f"table: {options.workdir}/sweep.md, .csv, .png")
    failed = sum("error" in run for runs in results.values() for run in runs)
    if failed:
        total = sum(map(len, results.values()))
        raise UserError(f"{failed} of {total} runs failed: see above; the same command tries them again")


def sample(options: argparse.Namespace, _) -> None:
    import ganjax
    from ganjax import samples

    model = ganjax.load(options.workdir, options.step)
    apart(model.config, options)
    settings = {"label": options.label, "as_grid": options.grid, "overwrite": options.overwrite}
    paths = samples.write(model, options.workdir, options.out, options.num, options.seed, **settings)
    print(paths[0] if len(paths) == 1 else f"{len(paths)} images in {options.out}")


def apart(config, options: argparse.Namespace) -> Path:
    """Return --out. UserError where it lies among the images that the run learns from."""
    from ganjax import rundir

    rundir.check_apart(options.out, rundir.roots(config.data), "--out")
    return Path(options.out)


def translate(options: argparse.Namespace, _) -> None:
    import ganjax
    from ganjax import files, provenance

    model = ganjax.load(options.workdir, options.step)
    apart(model.config, options)
    settings = {name: getattr(options, name) for name in ("direction", "strength", "keep_color", "tile")}
    made = {**provenance.of_model(model, options.workdir), "method": f"translate_{options.direction}", **settings}
    wishes = {"overwrite": options.overwrite, "max_pixels": options.max_pixels, "halved": options.left_half}
    done = files.translate(model, options.input, options.out, record=provenance.record(**made), **wishes, **settings)
    print(files.report(done, options.out))


def evaluate(options: argparse.Namespace, _) -> None:
    import jax

    from ganjax import evaluate, parallel, rundir, watch, whole
    from ganjax.data import images
    from ganjax.errors import UserError
    from ganjax.names import expanded

    if options.list:
        print(evaluate.listing())
        return
    names = evaluate.DEFAULT if options.metrics is None else metric_names(options.metrics)
    if options.seed + options.seeds - 1 > SEED:
        raise UserError(f"--seeds={options.seeds} from --seed={options.seed} on go beyond the last seed, {SEED}")
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
    of_a_pair = {"--max_pixels": options.max_pixels, "--resolution": options.resolution, "--content": options.content}
    not_watching = {name: given for name, given in of_a_run.items() if name in ("--seeds", "--step")}
    not_watching |= {"--sheet": options.sheet, "--json": options.json, "--out": options.out}
    for flag, given in (of_a_run if pair else of_a_pair).items():
        if given:
            raise UserError(f"{flag} is for {'--workdir' if pair else '--real and --fake'}")
    for flag, given in not_watching.items() if options.watch else ():
        if given:
            raise UserError(f"{flag} does not go with --watch, which writes metrics.jsonl into the workdir")
    for flag, path in (("--out", options.out), ("--sheet", options.sheet)):
        if path:
            whole.check_writable(expanded(path, flag), flag)  # now, not after the work
    with jax.set_mesh(parallel.make_mesh(-1, jax.device_count())):
        if options.watch:
            for row in watch.watch(options.workdir, names, options.num, settings, places=places):
                results = {name: result for name, result in row.items() if isinstance(result, dict)}
                print(f"{row['images']:,} images\n{evaluate.table(results)}", flush=True)
            return
        if pair:
            if options.sheet:
                rundir.check_apart(options.sheet, {"--real": options.real, "--fake": options.fake}, "--sheet")
            args = options.resolution, settings, options.content, options.sheet, options.max_pixels or images.MAX_PIXELS
            results = evaluate.folders(options.real, options.fake, names, *args)
        else:
            args = options.num, settings, options.step, options.seeds, options.sheet, places
            results = evaluate.workdir(options.workdir, names, *args)
    print(json.dumps(results, indent=2) if options.json else evaluate.table(results))
    if options.out:
        evaluate.write(results, options.out)
    if options.sheet:
        print(f"nearest: {options.sheet}", file=sys.stderr if options.json else sys.stdout)
    failed = [name for name, result in results.items() if "error" in result]
    if failed:
        raise UserError(f"{', '.join(failed)} could not be computed: see above")


def metric_names(text: str) -> tuple[str, ...]:
    """Return the names that --metrics lists. UserError for a text that is no list of names."""
    from ganjax import numbers
    from ganjax.errors import UserError

    try:
        names = numbers.several(text)
    except ValueError:
        names = ()
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"--metrics={text[:100]}: names are wanted, with commas; launch.py evaluate --list")
    return names


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


def run() -> None:
    """Run the program and end the process, by a signal where one stopped it."""
    several_hosts = "--distributed" in sys.argv  # whose SIGTERM is orbax's: they agree on the step to save
    signals.watch(*([signal.SIGINT, signal.SIGHUP] if several_hosts else signals.SIGNALS))
    try:
        status = main(sys.argv[1:])
    except SystemExit as end:  # argparse's
        status = end.code
    if several_hosts:
        import jax

        jax.distributed.shutdown()  # the hosts part from each other
    signals.leave(status)


if __name__ == "__main__":
    run()
