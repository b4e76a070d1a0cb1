"""Checks of a game against its config. Each error names the key and the way out."""

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from ganjax.adversarial.players import DISCRIMINATOR, SIDES
from ganjax.errors import UserError, nearest
from ganjax.nets.spectral import COLLECTION as SPECTRAL

BATCH_STATS = "batch_stats"  # Flax's collection of batch norm
PER_IMAGE_NORMS = "layer, instance or none"


def validate(config: ConfigDict, game) -> None:
    """Raise UserError if the config is invalid, ValueError if the game itself is."""
    if config.batch_size % config.accumulate:
        raise UserError(f"config.accumulate = {config.accumulate} must divide batch_size = {config.batch_size}")
    for side in SIDES:
        lazy = {r.every for r in game.regularisers if r.side == side and r.value and r.every > 1}
        if len(lazy) > 1:
            raise ValueError(f"the lazy regularisers of the {side}'s side must come equally often, not every {lazy}")
    if game.first != DISCRIMINATOR and (config.get("d_steps", 1) > 1 or game.own_reals):
        raise ValueError("a game in which the generator moves first has one update of each side")


def check_frozen(prefixes: tuple[str, ...], params: dict[str, dict]) -> None:
    """Raise UserError if a prefix of `config.freeze` is that of no array. params: {network: parameters}."""
    names = list(flatten_dict(params, sep="."))
    layers = sorted({".".join(name.split(".")[:2]) for name in names})
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            own = [layer for layer in layers if layer.split(".")[0] == prefix.split(".")[0]] or layers
            raise UserError(
                f"config.freeze: no array begins with {prefix!r}{nearest(prefix, own)}; there are {', '.join(own)}"
            )


def validate_collections(config: ConfigDict, game, collections: dict[str, set[str]]) -> None:
    """Raise UserError if the networks, judged by their collections (batch norm, spectral vectors), forbid the config.

    Batch norm makes an image's logit depend on the other images of its batch: a penalty on each image's own gradient is
    then wrong, and accumulated pieces give another result than the whole batch.
    """
    mixing = [name for name in game.players if BATCH_STATS in collections[name]]
    judges = [name for name, player in game.players.items() if player.side == DISCRIMINATOR]
    per_image = [r.name for r in game.regularisers if r.per_image and r.value]
    if per_image and set(mixing) & set(judges):
        raise UserError(
            f"config.penalty.{per_image[0]} penalises the gradient of each image separately, but batch norm in the "
            f"discriminator mixes the images of a batch: set config.model.discriminator.norm to {PER_IMAGE_NORMS}"
        )
    bounded = per_image or all(SPECTRAL in collections[name] for name in judges)
    if config.loss.get("kind") == "wasserstein" and not bounded:
        raise UserError(
            "config.loss.kind = 'wasserstein' grows without bound unless the discriminator's gradient is bounded: set "
            "--config.penalty.wgan_gp=10, or use a discriminator with spectral normalisation"
        )
    if config.accumulate > 1 and mixing:
        key = f"config.model.{mixing[0]}.norm"
        model = config.get("model", {}).get(mixing[0], {})
        advice = f"set {key} to {PER_IMAGE_NORMS}" if "norm" in model else "take a smaller batch"
        raise UserError(
            f"config.accumulate: batch norm in the {mixing[0]} would see parts of the batch, and give another result "
            f"than on the whole batch: {advice}"
        )
