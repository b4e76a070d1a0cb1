"""Score a run's checkpoints while another program trains it, so that training never waits for metrics."""

import logging
import sys
import time
from collections.abc import Callable, Iterator

from ganjax.errors import UserError
from ganjax.inference.model import load
from ganjax.metrics import evaluate
from ganjax.metrics.suite import Options
from ganjax.report.run_log import rewrite_page
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
    """Score each new checkpoint of a run that another program trains; return after the run's last one.

    Each row {"step", "images", "num", name: result, ...} is appended to workdir/metrics.jsonl and yielded. Checkpoints
    with a row of these names, num and seed are skipped, so that a stopped watcher can resume. One call scores no
    checkpoint twice, even if a metric failed. While training is stopped, the watcher keeps polling.
    places: {key of config.data: present folder} of images that have moved, as for `run_folder.moved`.
    """
    evaluate.validate(names, None)
    root, comparison, tried_steps = expanded(path, "--workdir"), None, set()
    lines = root / "metrics.jsonl"
    run_folder.read_config(root)  # raises UserError if there is no run
    while True:
        config = run_folder.read_config(root)
        scored_steps = {row["step"] for row in read_rows(lines) if _is_scored(row, names, num, options.seed)}
        saved_steps = steps(root / "checkpoints")
        tried_steps &= set(saved_steps)  # the step of a deleted checkpoint may be saved again
        for step in (step for step in saved_steps if step not in scored_steps | tried_steps):
            tried_steps.add(step)
            try:
                model = load(path, step)
            except UserError as error:  # deleted since by the trainer, which keeps the last few, or damaged
                log.warning("checkpoint %d is skipped: %s", step, error)
                continue
            if comparison is None:
                comparison = evaluate.comparison_of(model, num, places or {})
                real, real_options = evaluate.real_side(comparison, options, progress=True)
            fake = evaluate.generated_side(comparison, model.variables, num, options.seed, sys.stderr.isatty())
            results = evaluate.score(names, real, fake, real_options)
            row = {"step": step, "images": model.meta["images"], "num": num, **results}
            append(lines, row)
            try:
                rewrite_page(root)
            except Exception as error:  # drawing another program's logs and pictures may raise anything
                log.warning("report.html is not updated: %s", error)
            yield row
        if config.total_images // config.batch_size <= max({0, *scored_steps, *tried_steps}):
            return
        wait(seconds)


def _is_scored(row: dict, names: tuple[str, ...], num: int, seed: int) -> bool:
    """Return whether a row of metrics.jsonl has a value of every name, for `num` samples and this seed.

    "num" in a row is the requested number of samples; a run that translates has at most one for each source image.
    Rows written by training, and older rows, lack "num": their "n_fake" is compared instead.
    """
    results = [row.get(name) for name in names]
    return all(
        isinstance(result, dict)
        and "value" in result
        and (row.get("num", result.get("n_fake")), result.get("seed")) == (num, seed)
        for result in results
    )
