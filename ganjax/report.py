"""What a person sees while a run goes on: progress, scalars, TensorBoard, sample grids, report.html."""

import json
import logging
import math
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

import jax
import ml_collections
import numpy as np
from PIL import Image
from tqdm import tqdm

from ganjax import configfile, health, page
from ganjax.config import crosses
from ganjax.errors import NonFinite, UserError

PACKAGES = ("ganjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")
log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run's bits depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


class Report:
    """Writes into the workdir on host 0; every host checks that the metrics are finite.

    Metrics are read one call late, so that the device never waits for the host.
    """

    def __init__(self, workdir: Path, config: ml_collections.ConfigDict, start: int, facts: dict, skipped: list):
        self.workdir, self.config, self.facts, self.skipped = workdir, config, facts, skipped
        self.primary = jax.process_index() == 0
        self.pending: tuple[int, dict, int] | None = None
        self.sums: dict[str, float] = {}
        self.count, self.latest, self.scored = 0, {}, {}  # scored: the newest metrics
        self.signed = "loss" not in config or config.loss.get("kind") not in health.UNSIGNED
        self.verdict = health.Verdict(health.HEALTHY)
        rows = read_rows(workdir / "scalars.jsonl")
        self.history = [row for row in rows if row["step"] <= start]
        self.since: tuple[float, int] | None = None  # set after the first step, which compiles
        self.bar = self.board = None
        if not self.primary:
            return
        (workdir / "samples").mkdir(exist_ok=True)
        self.scalars = workdir / "scalars.jsonl"
        drop_after(self.scalars, start)
        drop_after(workdir / "metrics.jsonl", start)
        facts_file(workdir).write_text(json.dumps({"facts": facts, "skipped": skipped}))
        for picture in page.samples(workdir):
            if int(picture.stem) > start:
                picture.unlink()
        if config.report.tensorboard:
            from tensorboardX import SummaryWriter  # here: it takes a second

            self.board = SummaryWriter(
                str(workdir / "tensorboard"), purge_step=start * config.batch_size + 1, flush_secs=30
            )
        if sys.stderr.isatty():
            batch = config.batch_size
            self.bar = tqdm(total=config.total_images, initial=start * batch, unit=" images", unit_scale=True)

    def write(self, step: int, metrics: dict, count: int = 1) -> None:
        """Take the metrics of the call that led to `step`; read those of the call before.

        A metric is a scalar or, of several steps in one call, an array whose first `count` values are theirs.
        """
        previous, self.pending = self.pending, (step, metrics, count)
        if previous:
            self._read(*previous)

    def flush(self) -> None:
        """Read what is pending. NonFinite, naming the term, if it is not finite."""
        previous, self.pending = self.pending, None
        if previous:
            self._read(*previous)

    def _read(self, step: int, metrics: dict, count: int) -> None:
        host = {name: np.atleast_1d(value)[:count] for name, value in jax.device_get(metrics).items()}
        for i in range(count):
            for name, values in host.items():
                value = float(values[i])
                if not math.isfinite(value):
                    raise NonFinite(f"{name} is {value} at step {step - count + 1 + i}")
                self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += count
        self.since = self.since or (time.monotonic(), step)
        if crosses(step, self.config.batch_size, self.config.report.every_images):
            self._log(step)

    def _log(self, step: int) -> None:
        now, before = time.monotonic(), self.since
        rate = (step - before[1]) * self.config.batch_size / max(now - before[0], 1e-9)
        self.since = (now, step)
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        self.scalar(step, {**means, "images_per_second": rate} if rate else means)
        self._judge(step, means)
        if not self.primary:
            return
        images, total = step * self.config.batch_size, self.config.total_images
        losses = f"D {means['d_loss']:.3f}  G {means['g_loss']:.3f}"
        losses += f"  {self.verdict}" if self.config.health else ""
        if self.bar:
            self.bar.update(images - self.bar.n)
            self.bar.set_postfix_str(losses)
        else:
            speed = f"{rate:.0f} img/s  {tqdm.format_interval((total - images) / rate)} left  " if rate else ""
            print(f"{images:,}/{total:,} images  {speed}{losses}", flush=True)

    def _judge(self, step: int, values: dict[str, float]) -> None:
        """Take what health looks at; NonFinite where training diverges. Every host comes to the same verdict."""
        if not self.config.health:
            return
        self.history.append(values)
        before, self.verdict = self.verdict, health.judge(self.history, self.signed)
        if self.verdict.name != before.name and self.verdict.advice and self.primary:
            log.warning("%s. Try: %s", self.verdict, self.verdict.advice)
        if self.verdict.name == "diverging":
            self.write_page()
            raise NonFinite(f"{self.verdict} at step {step}")

    def scalar(self, step: int, values: dict[str, float]) -> None:
        """Log scalars of a step: they join the curves, TensorBoard and what `keep_best` may choose from."""
        self.latest.update(values)
        if not self.primary:
            return
        row = {"step": step, "images": step * self.config.batch_size, **values}
        if (several := self.config.get("d_steps", 1)) > 1:
            row["real_images"] = several * row["images"]  # that D was shown
        append(self.scalars, row)
        for name, value in values.items() if self.board else ():
            self.board.add_scalar(name, value, row["images"])

    def picture(self, step: int, image: Image.Image, values: dict[str, float] | None = None) -> None:
        """Save a sheet of samples, log what was measured on it, and bring report.html up to date."""
        if values:
            self.scalar(step, values)
            self._judge(step, values)
        if not self.primary:
            return
        image.save(self.workdir / "samples" / f"{step}.png")
        if self.board:
            self.board.add_image("samples", np.asarray(image), step * self.config.batch_size, dataformats="HWC")
        self.write_page()

    def scores(self, step: int, results: dict[str, dict]) -> None:
        """Log metrics of a step: their values as scalars, and each with its protocol in metrics.jsonl."""
        self.scored = {name: result["value"] for name, result in results.items() if "value" in result}
        if not self.scored:
            return
        if self.primary:
            row = {"step": step, "images": step * self.config.batch_size, **results}
            append(self.workdir / "metrics.jsonl", row)
        self.scalar(step, self.scored)

    def write_page(self) -> None:
        if self.primary:
            write_page(self.workdir, self.config, self.facts, self.skipped)

    def finish(self, step: int, done: bool = True) -> None:
        """Log the interval that the end cut short, if it is the run's, and write the page."""
        self.flush()
        if self.count and done:
            self._log(step)
        self.write_page()

    def close(self) -> None:
        if self.bar:
            self.bar.close()
        if self.board:
            self.board.close()


def facts_file(workdir: Path) -> Path:
    """Return the file that holds what report.html says of the run besides its logs."""
    return workdir / ".report.json"


def write_page(workdir: Path, config: ml_collections.ConfigDict, facts: dict, skipped: list) -> None:
    page.write(
        workdir, config, read_rows(workdir / "scalars.jsonl"), facts, skipped, read_rows(workdir / "metrics.jsonl")
    )


def remake(workdir: Path) -> None:
    """Write report.html anew from what the workdir holds: metrics may come from another program."""
    try:
        kept = json.loads(facts_file(workdir).read_text())
    except (OSError, ValueError):  # of a run from before the file was written
        kept = {"facts": {}, "skipped": []}
    write_page(workdir, configfile.read(workdir / "config.json"), kept["facts"], kept["skipped"])


def append(path: Path, row: dict) -> None:
    """Add a row to a JSON-lines file; UserError, with its name, where it cannot be written."""
    try:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def drop_after(path: Path, step: int) -> None:
    """Drop the lines past `step`, and one that a kill cut short, from a JSON-lines file; atomically."""
    if not path.exists():
        return
    rows = read_rows(path)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))
    temporary.replace(path)


def read_rows(path: Path) -> list[dict]:
    """Return the rows of a JSON-lines file, without a last line that was cut short."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            log.warning("%s: a line that was cut short is left out", path)
    return rows
