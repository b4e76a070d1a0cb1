"""The metrics of a run while it trains."""

import logging
from collections.abc import Callable

import ml_collections

from ganjax.data import cache
from ganjax.errors import UserError
from ganjax.inference.model import labels_of
from ganjax.metrics import evaluate, suite
from ganjax.metrics.sets import Options

log = logging.getLogger(__name__)


class InLoop:
    """The metrics of a run while it trains: of `config.metrics_images` EMA samples, always of the same latents."""

    def __init__(self, config: ml_collections.ConfigDict, dataset: cache.Dataset, draw: Callable):
        """Measure the real images against themselves, so that what is missing (weights, labels) is told now."""
        self.config, self.draw, self.at, self.results = config, draw, None, {}
        if not config.metrics:
            return
        self.options, self.given = Options(config.seed), {}
        if config.data.domains == 2:
            self.real, self.options = evaluate.translation_sides(config, dataset, config.metrics_images, self.options)
            self.given = {"names": self.options.content.names}
        else:
            self.real = evaluate.real_side(config, dataset, config.metrics_images)
        for name in config.metrics:
            try:
                evaluate.metric(name).compute(
                    self.real, self.options.content if self.given else self.real, self.options
                )
            except UserError as error:
                raise UserError(f"config.metrics: {name}: {error}") from error

    def measure(self, step: int, ema: dict) -> dict[str, dict]:
        """Return `score` of the EMA variables of a step, which `at` holds; {} where nothing can be said."""
        self.at, self.results = step, {}
        num, seed = self.config.metrics_images, self.config.seed
        num = num if self.given else len(self.real)
        given = self.given or evaluate.asked(labels_of(self.config), self.config, num, seed)
        fake = evaluate.generated(self.draw(ema, num, seed), **given)
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


def check_in_loop(names: tuple[str, ...], config: ml_collections.ConfigDict) -> None:
    """UserError for a metric that is not known, or that needs more than samples and the data set."""
    known = {"", "weights", "labels"}
    known |= {suite.LABELS} if labels_of(config) else set()
    if config.data.domains == 2:
        known |= {
            "content",
            "content and weights",
            *(("pairs", "pairs and weights") if config.data.paired != "no" else ()),
        }
    for name in names:
        needs = evaluate.metric(name).needs
        if needs not in known:
            raise UserError(f"config.metrics: {name} needs {needs}: measure it with launch.py evaluate")
