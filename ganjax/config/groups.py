"""The keys of a config and their defaults: those of every run, of its family of recipes, and of its recipe."""

from ml_collections import ConfigDict

from ganjax.config.derived import horizon
from ganjax.config.game_keys import FROM_DAMAGE, FROM_IMAGES, FROM_NOISE, FROM_ONE, Family
from ganjax.config.key import Group, Key, defaults, flat, merged
from ganjax.config.recipe_keys import IMAGE_RECIPES, RECIPES, SINGLE_RECIPES
from ganjax.config.run_keys import RUN
from ganjax.config.schedule import spanned
from ganjax.errors import UserError, nearest

FAMILIES = {"generate": FROM_NOISE, "single": FROM_ONE, "translate": FROM_IMAGES, "restore": FROM_DAMAGE}  # by task
TASKS = dict.fromkeys(IMAGE_RECIPES, "translate") | dict.fromkeys(SINGLE_RECIPES, "single")  # others: "generate"
NETWORKS = "model"  # the group of keys that describe the networks


def base() -> ConfigDict:
    """Return a config with the keys of every run, at their defaults."""
    return defaults(RUN)


def noise_defaults(config: ConfigDict) -> ConfigDict:
    """Add the keys of recipes from noise to a config, at their defaults, and return it."""
    config.update(defaults(FROM_NOISE.keys))
    config.update_from_flattened_dict(FROM_NOISE.values)
    return config


def for_recipe(name: str, task: str = "") -> ConfigDict:
    """Return the config of a recipe, all keys at their defaults; without `task` for the recipe's usual task. Raises
    UserError if `recipe_keys` does not declare the recipe.
    """
    if name not in RECIPES:
        raise UserError(f"recipe {name!r} declares no keys{nearest(name, RECIPES)}")
    family = FAMILIES[task or TASKS.get(name, "generate")]
    config = defaults(merged(RUN, family.keys, RECIPES[name]))
    config.update_from_flattened_dict({**family.values, "recipe": name})
    return config


def keys_of(config: ConfigDict) -> dict[str, Key]:
    """Return {"data.path": Key, ...}, the declared keys of a config. A user's own recipe may have undeclared ones."""
    return flat(merged(RUN, _family(config).keys, _recipe(config)))


def settings(config: ConfigDict) -> Group:
    """Return the declared keys of a config except those of its networks.

    A run that is older than one of these keys gets its default. A key of the networks gets none: its value must be the
    one in the checkpoint, which `run_folder.agree` checks.
    """
    recipe = {name: group for name, group in _recipe(config).items() if name != NETWORKS}
    return merged(RUN, _family(config).keys, recipe)


def completed(config: ConfigDict) -> ConfigDict:
    """Return the config as recipes read it: whole, and each schedule with a number of images."""
    return spanned(whole(config), horizon(config))


def whole(config: ConfigDict) -> ConfigDict:
    """Return the config, with the defaults of the `settings` that it lacks because its run is older than they are."""
    complete = defaults(settings(config))
    complete.update_from_flattened_dict(_family(config).values)
    complete.update(ConfigDict(config.to_dict()))
    return complete


def _family(config: ConfigDict) -> Family:
    return FAMILIES.get(str(config.get("task")), FROM_NOISE)


def _recipe(config: ConfigDict) -> Group:
    return RECIPES.get(str(config.get("recipe")), {})


def debug(config: ConfigDict, arg: str) -> ConfigDict:
    """Return the config; for `arg` "debug", cut down to a run of seconds: small batches, few images, 20 steps. Raises
    UserError for any other variant.
    """
    if arg not in ("", "debug"):
        raise UserError(f"the only variant is :debug, not :{arg}{nearest(arg, ['debug'])}")
    if arg:
        config.batch_size = 8
        config.total_images = 160
        config.data.resolution = min(config.data.resolution, 32)
        config.data.atelier.num_images = 64
        config.checkpoint.every_images = 80
        config.report.every_images = 40
        config.report.samples_every_images = 80
        config.report.grid = 16
    return config
