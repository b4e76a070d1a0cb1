"""What a person sees while a run goes on: progress, scalars, TensorBoard, sample grids, report.html."""

import contextlib
import json
import logging
import math
import platform
import time
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
from ganjax.report import health, page
from ganjax.system import atomic, progress
from ganjax.workdir.rows import append, drop_after, read_rows

PACKAGES = ("ganjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")
log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run's bits depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


class Report:
    """Writes into the workdir on host 0; every host checks that the metrics are finite.

    Metrics are read one call late, so that the device never waits for the host. What cannot be written or drawn is
    said once and left out: it never costs the run.
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
        """Cut the logs and the sheets of the workdir back to step `start`. Raises UserError for a log that cannot be
        cut, which would hold rows of steps that come again; with `rolled_back`, in the middle of a run, a warning.
        """
        self.workdir, self.config, self.facts, self.skipped = workdir, config, facts, skipped
        self.primary = jax.process_index() == 0
        self.pending: tuple[int, dict, int] | None = None
        self.sums: dict[str, float] = {}
        self.count, self.latest, self.scored = 0, {}, {}  # scored: the newest metrics
        self.signed = "loss" not in config or config.loss.get("kind") not in health.UNSIGNED
        self.verdict = health.Verdict(health.HEALTHY)
        self.history = [row for row in read_rows(workdir / "scalars.jsonl", numbers=True) if row["step"] <= start]
        for row in self.history:  # so that `keep_best` finds what it would in a run that was never stopped
            self.latest.update({name: value for name, value in row.items() if name not in page.QUIET})
        self.sheet: tuple[int, Image.Image] | None = None  # waits for `show`
        self.told: set[str] = set()
        self.since: tuple[float, int] | None = None  # set after the first step, which compiles
        self.bar = self.board = None
        self.scalars = workdir / "scalars.jsonl"
        if not self.primary:
            return
        for log_file in (self.scalars, workdir / "metrics.jsonl"):
            with self._left_out(log_file.name) if rolled_back else contextlib.nullcontext():
                drop_after(log_file, start)
        with self._left_out(facts_file(workdir).name):
            atomic.write_text(facts_file(workdir), json.dumps({"facts": facts, "skipped": skipped}))
        with self._left_out("a sheet of samples"):
            (workdir / "samples").mkdir(exist_ok=True)
            for picture in page.samples(workdir):
                if int(picture.stem) > start:
                    picture.unlink()
        if config.report.tensorboard:
            from ganjax.report.board import Board  # here: it takes a second

            with self._left_out("tensorboard/"):
                self.board = Board(workdir / "tensorboard", purge_step=start * config.batch_size + 1)
        if progress.on_terminal():
            initial = start * config.batch_size
            self.bar = progress.progress_bar(
                total=config.total_images, initial=initial, unit=" images", unit_scale=True
            )

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
            speed = f"{rate:.0f} img/s  {progress.duration((total - images) / rate)} left  " if rate else ""
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
        with self._left_out(self.scalars.name):
            append(self.scalars, row)
        with self._left_out("tensorboard/"):
            self.board and self.board.scalars(row["images"], values)

    def picture(self, step: int, image: Image.Image, values: dict[str, float] | None = None) -> None:
        """Take a sheet of samples, for `show`, and log what was measured on it."""
        if values:
            self.scalar(step, values)
            self._judge(step, values)
        self.sheet = (step, image)

    def show(self) -> None:
        """Write the sheet of samples that waits, if any, and report.html. The state should be saved before."""
        if self.primary and self.sheet:
            step, image = self.sheet
            with self._left_out("a sheet of samples"), atomic.replacing(page.sheet(self.workdir, step)) as path:
                image.save(path)
            with self._left_out("tensorboard/"):
                self.board and self.board.picture(step * self.config.batch_size, "samples", image)
        self.sheet = None
        self.write_page()

    @contextlib.contextmanager
    def _left_out(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a full disk; whatever drawing damaged logs and pictures may raise
            if what not in self.told:
                log.warning("%s is left out, and training goes on: %s", what, error)
            self.told.add(what)

    def scores(self, step: int, results: dict[str, dict]) -> None:
        """Log metrics of a step: their values as scalars, and each with its protocol in metrics.jsonl."""
        self.scored = {name: result["value"] for name, result in results.items() if "value" in result}
        if not self.scored:
            return
        if self.primary:
            row = {"step": step, "images": step * self.config.batch_size, **results}
            with self._left_out("metrics.jsonl"):
                append(self.workdir / "metrics.jsonl", row)
        self.scalar(step, self.scored)

    def write_page(self) -> None:
        if self.primary:
            with self._left_out("report.html"):
                write_page(self.workdir, self.config, self.facts, self.skipped)

    def finish(self, step: int, done: bool = True) -> None:
        """Log the interval that the end cut short, if it is the run's."""
        self.flush()
        if self.count and done:
            self._log(step)

    def close(self) -> None:
        if self.bar:
            self.bar.close()
        with self._left_out("tensorboard/"):
            self.board and self.board.close()


def facts(config: ml_collections.ConfigDict, dataset, mesh: jax.sharding.Mesh, state) -> dict[str, str]:
    """Return what report.html says of a run besides its logs: data, sizes, devices, versions."""
    device, images = mesh.devices.flat[0], dataset.target.images
    of_folders = config.data.a and not config.data.name.startswith("tfds:")
    return {
        "data": f"{config.data.a} and {config.data.b}"
        if of_folders
        else f"{config.data.name} {config.data.path}".strip(),
        "images": f"{len(images):,} of {images.shape[1]}x{images.shape[2]}",
        **{name.replace("_", " "): _parameters(network.params) for name, network in state.networks.items()},
        "devices": f"{mesh.size} x {device.device_kind}, on {jax.process_count()} host(s)",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }


def _parameters(params: dict) -> str:
    return f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,} parameters"


def facts_file(workdir: Path) -> Path:
    """Return the file that holds what report.html says of the run besides its logs."""
    return workdir / ".report.json"


def write_page(workdir: Path, config: ml_collections.ConfigDict, facts: dict, skipped: list) -> None:
    scalars, scores = read_rows(workdir / "scalars.jsonl", numbers=True), read_rows(workdir / "metrics.jsonl")
    page.write(workdir, config, scalars, facts, skipped, scores)


def remake(workdir: Path) -> None:
    """Write report.html anew from what the workdir holds: metrics may come from another program."""
    try:
        saved = json.loads(facts_file(workdir).read_text())
    except (OSError, ValueError):  # of a run from before the file was written
        saved = {"facts": {}, "skipped": []}
    write_page(workdir, config_file.read(workdir / "config.json"), saved["facts"], saved["skipped"])
