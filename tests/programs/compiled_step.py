"""Print the collectives that the compiled step of configs/generate/dcgan.py:debug holds on all devices, one a line.

With an argument K: of K steps a call, with the images resident.
"""

import re
import sys

import jax
import jax.numpy as jnp

from ganjax import recipe
from ganjax.configs.generate import dcgan
from ganjax.system import devices
from ganjax.training import update

config = dcgan.get_config("debug")
config.augment.rotate, config.augment.crop_scale = 10.0, 0.5
config.steps_per_call = together = int(sys.argv[1]) if len(sys.argv) > 1 else 1
mesh = devices.make_mesh(-1, config.batch_size)


def images(count):
    return jax.ShapeDtypeStruct((count, 32, 32, 3), jnp.uint8)


def labels(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


with jax.set_mesh(mesh):
    gan = recipe.build(config)
    state = jax.eval_shape(update.initialise(config, gan))
    arguments = [{"image": images(config.batch_size), "label": labels(config.batch_size)}, {}]
    if together > 1:
        arguments = [{"index": labels(together, config.batch_size)}, {"image": images(100), "label": labels(100)}, 1]
    text = update.compile_update(config, gan, mesh).lower(state, *arguments).compile().as_text()
for name, shape in re.findall(r"(\S+) = \(?(\S+?)[{ ].*? all-(?:gather|to-all)\(", text):
    print("gather", name, shape)
print(
    "convolutions of the local batch:",
    len(re.findall(rf"f32\[{config.batch_size // mesh.size},\d+,\d+,\d+\]\S* convolution\(", text)),
)
sys.exit(0)
