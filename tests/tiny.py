"""The smallest config of each recipe that still has its parts: seconds to compile, four steps of 8 images."""

from ml_collections import ConfigDict

from ganjax.config import file as config_file

SMALL = {"model.generator.widths": (4, 4, 4), "model.discriminator.widths": (4, 4), "model.width": 1.0}
SMALL |= {"data.resolution": 16, "model.discriminator.downs": 2, "model.z_dim": 6}
ATTENTION = {"model.generator.attention": (0,), "model.discriminator.attention": (0,)}
LABELLED = {"data.labels": True, "condition.kind": "projection"}
TINY = {
    "dcgan": {"data.resolution": 16, "model.discriminator.norm": "layer", "penalty.r1": 1.0, "penalty.every": 2,
              "penalty.lecam": 0.1, "diffaugment": "full", "loss.kind": "relativistic"},
    "sngan": {**SMALL, **LABELLED, "data.balance": 0.5, "data.attributes": "_"},
    "wgan_gp": {**SMALL, "steps_per_call": 2},
    "sagan": {**SMALL, **ATTENTION},
    "biggan": {**SMALL, **ATTENTION, "condition.kind": "acgan", "condition.dropout": 0.2, "penalty.orthogonal": 1e-4},
    "projected": {**LABELLED, "data.resolution": 16, "model.generator.width": 4, "model.discriminator.side": 64},
    "fastgan": {**LABELLED, "data.resolution": 16, "model.generator.width": 4, "model.discriminator.width": 4},
    "r3gan": {"data.resolution": 16, "model.z_dim": 6, "model.width": 8, "model.group": 4},
    "r3gan2": {"data.resolution": 16, "model.z_dim": 6, "model.width": 8, "model.group": 4},
    "stylegan2": {"data.resolution": 16, "penalty.path_length": 2.0, "penalty.path_every": 2, "penalty.every": 2,
                  "ada.p": 0.3, "ada.images": 500},
    "singan": {"batch_size": 8, "data.resolution": 16, "model.smallest": 12, "data.atelier.num_images": 1},
    "cyclegan": {"pool": 5, "data.atelier.styles": ("impressionism",)},
    "pix2pix": {"accumulate": 2, "data.atelier.styles": ("impressionism",)},
    "cut": {"loss.mirror": 0.5, "data.atelier.styles": ("impressionism",)},
    "sincut": {"data.atelier.styles": ("impressionism",)},
}  # fmt: skip
TRANSLATORS = {name: {"batch_size": 8, "data.resolution": 32, "data.load_size": 36, "model.generator.width": 4,
                      "model.discriminator.width": 4, "ema.half_life_images": 50.0} for name in ("cyclegan", "pix2pix",
                      "cut", "sincut")}  # fmt: skip


def config_of(name: str) -> ConfigDict:
    """Return the config "NAME[:debug]", to which keys may be added."""
    return config_file.load_file(name, []).unlock()


def small(name, **more):
    """Return the smallest config of a recipe, of four steps of 8 images."""
    config = config_of(f"{name}:debug")
    styles = ("colour_field", "de_stijl") if name != "sngan" else ("ukiyo_e", "de_stijl")  # names of two parts
    config.update_from_flattened_dict(
        {"total_images": 32, "schedule_images": 32, "checkpoint.every_images": 16, "data.atelier.num_images": 24,
         "data.atelier.styles": styles, "report.tensorboard": False, "report.grid": 4,
         **TRANSLATORS.get(name, {}), **TINY[name], **more}
    )  # fmt: skip
    return config


def networks_of_side(state, side):
    """Return the names of the networks that move with a side's loss; CUT's heads with the generator's."""
    return [name for name in state.networks if name.startswith(side) or (name == "heads" and side == "generator")]


def replaced(state, name, **fields):
    """Return the state in which the network of this name has other fields: params, mutable."""
    return state.replace(networks={**state.networks, name: state.networks[name].replace(**fields)})
