"""Log a run: progress, scalars.jsonl, metrics.jsonl, TensorBoard, sheets of samples, report.html."""

import contextlib
import json
import logging
import math
import platform
import time
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import jax
import ml_collections
import numpy as np
from PIL import Image

from ganjax.config import file as config_file
from ganjax.config.derived import crosses
from ganjax.errors import NonFinite
from ganjax.losses.logits import UNSIGNED
from ganjax.report import health, page
from ganjax.system import atomic, progress
from ganjax.workdir.rows import append, drop_after, read_rows

PACKAGES = ("ganjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")
log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run's results depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


class Report:
    """Logs a run into its workdir on host 0; every host checks that the metrics are finite.

    Metrics are read one call late, so that the device never waits for the host. An output that cannot be written or
    drawn is left out, with one warning; it never stops the run.
    """

    def __init__(
        self,
        workdir: Path,
        config: ml_collections.ConfigDict,
        start: int,
        facts: dict,
        skipped: list,
        rolled_back: bool = False,
    ):
        """Delete the rows of logs, and the sheets, after step `start` from the workdir.

        Raises UserError if a log cannot be cut, since it would then hold some steps twice; after a rollback in the
        middle of a run (`rolled_back`), logs a warning instead.
        """
        self.workdir, self.config, self.facts, self.skipped = workdir, config, facts, skipped
        self.primary = jax.process_index() == 0
        self.pending: tuple[int, dict, int] | None = None
        self.sums: dict[str, float] = {}
        self.count, self.latest = 0, {}  # latest: the newest value of each scalar
        self.signed = "loss" not in config or config.loss.get("kind") not in UNSIGNED
        self.verdict = health.Verdict(health.HEALTHY)
        self.history = [row for row in read_rows(workdir / "scalars.jsonl", numbers=True) if row["step"] <= start]
        for row in self.history:  # so that `keep_best` finds the same values as in an uninterrupted run
            self.latest.update({name: value for name, value in row.items() if name not in page.QUIET})
        self.sheet: tuple[int, Image.Image] | None = None  # until `show` writes it
        self.failed_outputs: set[str] = set()  # a warning was logged for each
        self.interval_start: tuple[float, int] | None = None  # (time, step); set after the first step, which compiles
        self.bar = self.board = None
        self.scalars = workdir / "scalars.jsonl"
        if not self.primary:
            return
        for log_file in (self.scalars, workdir / "metrics.jsonl"):
            with self._optional(log_file.name) if rolled_back else contextlib.nullcontext():
                drop_after(log_file, start)
        with self._optional(facts_file(workdir).name):
            atomic.write_text(facts_file(workdir), json.dumps({"facts": facts, "skipped": skipped}))
        with self._optional("a sheet of samples"):
            (workdir / "samples").mkdir(exist_ok=True)
            for picture in page.samples(workdir):
                if int(picture.stem) > start:
                    picture.unlink()
        if config.report.tensorboard:
            from ganjax.report.board import Board  # imported here, since it takes a second

            with self._optional("tensorboard/"):
                self.board = Board(workdir / "tensorboard", purge_step=start * config.batch_size + 1)
        if progress.on_terminal():
            initial = start * config.batch_size
            self.bar = progress.progress_bar(
                total=config.total_images, initial=initial, unit=" images", unit_scale=True
            )

    def write(self, step: int, metrics: dict, count: int = 1) -> None:
        """Queue the metrics of the call that ended at `step`; read those of the previous call.

        A metric is a scalar or, if one call makes several steps, an array whose first `count` values are of these.
        Raises NonFinite as `flush` does.
        """
        previous, self.pending = self.pending, (step, metrics, count)
        if previous:
            self._read(*previous)

    def flush(self) -> None:
        """Read the queued metrics. Raises NonFinite, which names the metric, if one is not finite."""
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
        self.interval_start = self.interval_start or (time.monotonic(), step)
        if crosses(step, self.config.batch_size, self.config.report.every_images):
            self._log(step)

    def _log(self, step: int) -> None:
        now, (start, start_step) = time.monotonic(), self.interval_start
        rate = (step - start_step) * self.config.batch_size / max(now - start, 1e-9)
        self.interval_start = (now, step)
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
            speed = f"{rate:.{0 if rate >= 10 else 1}f} img/s" if rate else ""
            speed += f"  {progress.duration((total - images) / rate)} left  " if rate else ""
            print(f"{images:,}/{total:,} images  {speed}{losses}", flush=True)

    def _judge(self, step: int, values: dict[str, float]) -> None:
        """Judge the run by all values so far, equally on every host. Raises NonFinite if training diverges."""
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
        """Log scalars of a step, for scalars.jsonl, TensorBoard and `keep_best`."""
        self.latest.update(values)
        if not self.primary:
            return
        row = {"step": step, "images": step * self.config.batch_size, **values}
        d_steps = self.config.get("d_steps", 1)
        if d_steps > 1:
            row["real_images"] = d_steps * row["images"]  # that D was trained on
        with self._optional(self.scalars.name):
            append(self.scalars, row)
        with self._optional("tensorboard/"):
            if self.board:
                self.board.scalars(row["images"], values)

    def picture(self, step: int, image: Image.Image, values: dict[str, float] | None = None) -> None:
        """Queue a sheet of samples for `show`, and log the values measured on it."""
        if values:
            self.scalar(step, values)
            self._judge(step, values)
        self.sheet = (step, image)

    def show(self) -> None:
        """Write the queued sheet of samples, if any, and report.html. Save the state first."""
        if self.primary and self.sheet:
            step, image = self.sheet
            with self._optional("a sheet of samples"), atomic.replacing(page.sheet(self.workdir, step)) as path:
                image.save(path)
            with self._optional("tensorboard/"):
                if self.board:
                    self.board.picture(step * self.config.batch_size, "samples", image)
        self.sheet = None
        self.write_page()

    @contextlib.contextmanager
    def _optional(self, output: str) -> Iterator[None]:
        """Suppress errors of writing `output`, and log the first as a warning."""
        try:
            yield
        except Exception as error:  # from a full disk, or from drawing damaged logs and pictures
            if output not in self.failed_outputs:
                log.warning("%s is left out, and training goes on: %s", output, error)
            self.failed_outputs.add(output)

    def scores(self, step: int, results: dict[str, dict]) -> None:
        """Log metrics of a step: their values as scalars, and their whole results in metrics.jsonl."""
        values = {name: result["value"] for name, result in results.items() if "value" in result}
        if not values:
            return
        if self.primary:
            row = {"step": step, "images": step * self.config.batch_size, **results}
            with self._optional("metrics.jsonl"):
                append(self.workdir / "metrics.jsonl", row)
        self.scalar(step, values)

    def write_page(self) -> None:
        if self.primary:
            with self._optional("report.html"):
                write_page(self.workdir, self.config, self.facts, self.skipped)

    def finish(self, step: int, done: bool = True) -> None:
        """Read the queued metrics; if the run is `done`, log its last interval, though it is shorter."""
        self.flush()
        if done and self.count and self.interval_start:  # None if this call made no step
            self._log(step)

    def close(self) -> None:
        if self.bar:
            self.bar.close()
        with self._optional("tensorboard/"):
            if self.board:
                self.board.close()


def facts(config: ml_collections.ConfigDict, dataset, mesh: jax.sharding.Mesh, state) -> dict[str, str]:
    """Return the facts about a run for report.html: data, sizes, devices, versions."""
    device, images = mesh.devices.flat[0], dataset.target.images
    if config.data.a and not config.data.name.startswith("tfds:"):
        data = f"{config.data.a} and {config.data.b}"
    else:
        data = f"{config.data.name} {config.data.path}".strip()
    return {
        "data": data,
        "images": f"{len(images):,} of {images.shape[1]}x{images.shape[2]}",
        **_parameters(state.networks),
        "devices": f"{mesh.size} x {device.device_kind}, on {jax.process_count()} host(s)",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }


def _parameters(networks: dict) -> dict[str, str]:
    """Return the number of parameters of each network; of numbered ones, "generator_0", "generator_1", together."""
    counts = Counter()
    for name, network in networks.items():
        title = name.rstrip("0123456789").replace("_", " ").strip()
        counts[title] += sum(leaf.size for leaf in jax.tree.leaves(network.params))
    return {title: f"{count:,} parameters" for title, count in counts.items()}


def facts_file(workdir: Path) -> Path:
    """Return the path of the file that stores the facts and skipped files for report.html."""
    return workdir / ".report.json"


def write_page(workdir: Path, config: ml_collections.ConfigDict, facts: dict, skipped: list) -> None:
    scalars, scores = read_rows(workdir / "scalars.jsonl", numbers=True), read_rows(workdir / "metrics.jsonl")
    page.write(workdir, config, scalars, facts, skipped, scores)


def rewrite_page(workdir: Path) -> None:
    """Write report.html again from the files in the workdir, after another program than the trainer added metrics."""
    try:
        saved = json.loads(facts_file(workdir).read_text())
    except (OSError, ValueError):  # older runs lack the file
        saved = {"facts": {}, "skipped": []}
    write_page(workdir, config_file.read(workdir / "config.json"), saved["facts"], saved["skipped"])
