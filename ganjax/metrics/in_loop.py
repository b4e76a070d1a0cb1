"""Metrics that a run computes while it trains."""

import logging
from collections.abc import Mapping

import ml_collections

from ganjax.data.table import Dataset
from ganjax.errors import UserError
from ganjax.metrics import evaluate
from ganjax.metrics.sets import Options
from ganjax.recipe import Method
from ganjax.task import Task

log = logging.getLogger(__name__)


class InLoop:
    """Computes `config.metrics` of a run while it trains, on `config.metrics_images` images from fixed latents."""

    def __init__(self, config: ml_collections.ConfigDict, task: Task, methods: Mapping[str, Method], dataset: Dataset):
        """Compute each metric of the real images against themselves, to find missing weights or labels before training.

        Raises UserError if a metric cannot be computed.
        """
        self.config, self.at, self.results = config, None, {}
        if not config.metrics:
            return
        self.comparison = task.compare(config, methods, dataset, config.metrics_images)
        self.real, self.options = evaluate.real_side(self.comparison, Options(config.seed))
        fake = self.options.content or self.real
        for name in config.metrics:
            try:
                evaluate.metric(name).compute(self.real, fake, self.options)
            except UserError as error:
                raise UserError(f"config.metrics: {name}: {error}") from error

    def measure(self, step: int, variables: dict) -> dict[str, dict]:
        """Return the `score` of a step's variables, or {} if no metric can be computed; record the step in `at`."""
        self.at, self.results = step, {}
        fake = evaluate.generated_side(self.comparison, variables, len(self.real), self.config.seed)
        try:
            results = evaluate.score(tuple(self.config.metrics), self.real, fake, self.options)
        except UserError as error:  # metrics must not stop the training
            log.warning("no metric could be computed: %s", error)
            return {}
        self.results = results
        for name, result in results.items():
            if "error" in result:
                log.warning("%s: %s", name, result["error"])
        return results


def check_in_loop(names: tuple[str, ...], offers: set[str]) -> None:
    """Raise UserError if a metric is unknown, or needs anything but weights and what the run's task offers."""
    for name in names:
        needs = evaluate.metric(name).needs
        if needs not in {"", "weights"} | offers:
            raise UserError(f"config.metrics: {name} needs {needs}: measure it with launch.py evaluate")
