"""Metrics of a run's checkpoints as another program trains it, so that training never waits."""

import logging
import sys
import time
from collections.abc import Callable, Iterator

from ganjax.errors import UserError
from ganjax.inference.model import load
from ganjax.metrics import evaluate
from ganjax.metrics.suite import Options
from ganjax.report.run_log import remake
from ganjax.system.names import expanded
from ganjax.workdir import run_folder
from ganjax.workdir.checkpoint import steps
from ganjax.workdir.rows import append, read_rows

POLL_SECONDS = 30
log = logging.getLogger(__name__)


def watch(
    path: str,
    names: tuple[str, ...] = evaluate.DEFAULT,
    num: int = 2000,
    options: Options = Options(),  # noqa: B008
    seconds: float = POLL_SECONDS,
    wait: Callable[[float], None] = time.sleep,
    places: dict[str, str] | None = None,
) -> Iterator[dict]:
    """Score each checkpoint of a run that another program trains, as it comes; end with the run.

    Each becomes a line of workdir/metrics.jsonl, {"step", "images", "num", name: result, ...}, and is yielded. Those
    that the file holds, of these names, number and seed, are skipped, so that an evaluator that was stopped goes
    on; none is measured twice in one call, also where a metric failed.
    `places` says where the run's images are now, as `run_folder.moved` takes it.
    Training never waits for it; it waits for a run that was stopped, until it is stopped itself.
    """
    evaluate.validate(names, None)
    root, comparison, tried = expanded(path, "--workdir"), None, set()
    lines = root / "metrics.jsonl"
    run_folder.read_config(root)  # for its error where there is no run
    while True:
        config = run_folder.read_config(root)
        done = {row["step"] for row in read_rows(lines) if _measured(row, names, num, options.seed)}
        there = steps(root / "checkpoints")
        tried &= set(there)  # one that is gone may come again
        for step in (step for step in there if step not in done | tried):
            tried.add(step)
            try:
                model = load(path, step)
            except UserError as error:  # dropped by the trainer since, as it keeps the last few; or damaged
                log.warning("checkpoint %d is skipped: %s", step, error)
                continue
            if comparison is None:
                comparison = evaluate.comparison_of(model, num, places or {})
                real, settings = evaluate.real_side(comparison, options, progress=True)
            fake = evaluate.generated_side(comparison, model.variables, num, options.seed, sys.stderr.isatty())
            results = evaluate.score(names, real, fake, settings)
            row = {"step": step, "images": model.meta["images"], "num": num, **results}
            append(lines, row)
            try:
                remake(root)
            except Exception as error:  # drawing what others wrote may raise anything
                log.warning("report.html is left as it was: %s", error)
            yield row
        if config.total_images // config.batch_size <= max({0, *done, *tried}):
            return
        wait(seconds)


def _measured(row: dict, names: tuple[str, ...], num: int, seed: int) -> bool:
    """Return whether a row of metrics.jsonl has values of all the names, of these many samples and this seed.

    "num" is how many were asked for: a run from image to image has no more than its images. Rows of training and older
    ones are without it.
    """
    results = [row.get(name) for name in names]
    return all(
        isinstance(result, dict)
        and "value" in result
        and (row.get("num", result.get("n_fake")), result.get("seed")) == (num, seed)
        for result in results
    )
