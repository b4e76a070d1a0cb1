"""The metrics of a run while it trains."""

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
    """The metrics of a run while it trains: of `config.metrics_images` averaged samples, always of the same latents."""

    def __init__(self, config: ml_collections.ConfigDict, task: Task, methods: Mapping[str, Method], dataset: Dataset):
        """Measure the real images against themselves, so that missing weights or labels are named now."""
        self.config, self.at, self.results = config, None, {}
        if not config.metrics:
            return
        self.comparison = task.compare(config, methods, dataset, config.metrics_images)
        self.real, self.options = evaluate.real_side(self.comparison, Options(config.seed))
        against = self.options.content or self.real
        for name in config.metrics:
            try:
                evaluate.metric(name).compute(self.real, against, self.options)
            except UserError as error:
                raise UserError(f"config.metrics: {name}: {error}") from error

    def measure(self, step: int, variables: dict) -> dict[str, dict]:
        """Return `score` of the variables of a step; record the step in `at`. {} if no metric could be computed."""
        self.at, self.results = step, {}
        fake = evaluate.generated_side(self.comparison, variables, len(self.real), self.config.seed)
        try:
            results = evaluate.score(tuple(self.config.metrics), self.real, fake, self.options)
        except UserError as error:  # training goes on
            log.warning("no metric could be computed: %s", error)
            return {}
        self.results = results
        for name, result in results.items():
            if "error" in result:
                log.warning("%s: %s", name, result["error"])
        return results


def check_in_loop(names: tuple[str, ...], offers: set[str]) -> None:
    """Raise UserError for a metric that is not known, or needs more than weights and what the run's task offers."""
    for name in names:
        needs = evaluate.metric(name).needs
        if needs not in {"", "weights"} | offers:
            raise UserError(f"config.metrics: {name} needs {needs}: measure it with launch.py evaluate")
