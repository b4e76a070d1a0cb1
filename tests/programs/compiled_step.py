"""Print the collectives that the compiled step of configs/generate/dcgan.py:debug holds on all devices, one a line.

With an argument K: of K steps a call, with the images resident.
"""

import re
import sys

import jax
import jax.numpy as jnp

from ganjax import recipe, task
from ganjax.configs.generate import dcgan
from ganjax.system import devices
from ganjax.training import update

config = dcgan.get_config("debug")
config.augment.rotate, config.augment.crop_scale = 10.0, 0.5
config.steps_per_call = together = int(sys.argv[1]) if len(sys.argv) > 1 else 1
mesh = devices.make_mesh(-1, config.batch_size)


def columns(count):
    """Return the shapes of a table's columns of so many rows."""
    image = jax.ShapeDtypeStruct((count, 32, 32, 3), jnp.uint8)
    return {"image": {"image": image, "label": jax.ShapeDtypeStruct((count,), jnp.int32)}}


with jax.set_mesh(mesh):
    own, gan = task.of(config), recipe.build(config)
    state = jax.eval_shape(update.initialise(config, own, gan))
    arguments = [columns(config.batch_size), {}]
    if together > 1:
        index = jax.ShapeDtypeStruct((together, config.batch_size), jnp.int32)
        arguments = [{"image": {"index": index}}, columns(100), 1]
    text = update.compile_update(config, own, gan, mesh).lower(state, *arguments).compile().as_text()
for name, shape in re.findall(r"(\S+) = \(?(\S+?)[{ ].*? all-(?:gather|to-all)\(", text):
    print("gather", name, shape)
print(
    "convolutions of the local batch:",
    len(re.findall(rf"f32\[{config.batch_size // mesh.size},\d+,\d+,\d+\]\S* convolution\(", text)),
)
sys.exit(0)
