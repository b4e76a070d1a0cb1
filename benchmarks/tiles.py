"""The time and memory of --tile=fast and --tile=exact, and their difference from the image in one piece.

python benchmarks/tiles.py --workdir=RUN --input=IMAGE [--sides=1024,2048] [--skip=exact]

The image is resized to each of `--sides` on its longer side and translated. Differences are between 8-bit results, in
levels. Memory is the peak resident set size of a separate process, less that of a process with a 64 px image.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

TILES = ("whole", "fast", "exact")


def once(workdir: str, source: str, side: int, tile: str, out: str) -> None:
    """Translate in this process, write the result to `out`, and print seconds and MB as JSON."""
    import ganjax

    model, image = ganjax.load(workdir), Image.open(source).convert("RGB")
    scale = side / max(image.size)
    image = image.resize([round(s * scale) for s in image.size], Image.Resampling.LANCZOS)
    start = time.perf_counter()
    output = model(image, tile=tile)
    seconds = time.perf_counter() - start
    np.save(out, np.asarray(output))
    print(json.dumps({"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(options: argparse.Namespace, side: int, tile: str) -> tuple[dict, np.ndarray]:
    """Translate in a new process; return its seconds and MB, and the pixels."""
    out = Path(options.scratch) / "made.npy"
    flags = ["--workdir", options.workdir, "--input", options.input, "--once", str(side), tile, str(out)]
    process = subprocess.run([sys.executable, __file__, *flags], capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(process.stderr)
    return json.loads(process.stdout.splitlines()[-1]), np.load(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--sides", default="1024")
    parser.add_argument("--skip", default="", help="kinds of --tile to skip, separated by commas")
    parser.add_argument("--scratch", default=".", help="folder for one temporary file")
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        side, tile, out = options.once
        once(options.workdir, options.input, int(side), tile, out)
        return
    base_mb = run(options, 64, "whole")[0]["mb"]
    print("| side | tile | s, with compiling | MB more | mean difference | 99 % below | largest |\n" + "|---" * 7 + "|")
    for side in map(int, options.sides.split(",")):
        whole = None
        for tile in TILES:
            if tile in options.skip.split(","):
                continue
            cost, output = run(options, side, tile)
            row = f"| {side} | {tile} | {cost['seconds']:.1f} | {cost['mb'] - base_mb:.0f} |"
            if tile == "whole":
                whole = output.astype(int)
            elif whole is not None:
                difference = np.abs(whole - output)
                row += f" {difference.mean():.2f} | {np.quantile(difference, 0.99):.0f} | {difference.max()} |"
            print(row, flush=True)
    (Path(options.scratch) / "made.npy").unlink()


if __name__ == "__main__":
    main()
