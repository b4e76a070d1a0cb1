"""Print the collectives that the compiled step of configs/dcgan.py:debug holds on all devices, one a line."""

import re
import sys

import jax
import jax.numpy as jnp

from configs import dcgan
from ganjax import parallel, recipe, train

config = dcgan.get_config("debug")
config.augment.rotate, config.augment.crop_scale = 10.0, 0.5
mesh = parallel.make_mesh(-1, config.batch_size)
with jax.set_mesh(mesh):
    gan = recipe.build(config)
    state = jax.eval_shape(train.initialise(config, gan))
    images = jax.ShapeDtypeStruct((config.batch_size, 32, 32, 3), jnp.uint8)
    batch = {"image": images, "label": jax.ShapeDtypeStruct((config.batch_size,), jnp.int32)}
    text = train.compile_update(config, gan, mesh).lower(state, batch).compile().as_text()
for name, shape in re.findall(r"(\S+) = \(?(\S+?)[{ ].*? all-(?:gather|to-all)\(", text):
    print("gather", name, shape)
print(
    "convolutions of the local batch:",
    len(re.findall(rf"f32\[{config.batch_size // mesh.size},\d+,\d+,\d+\]\S* convolution\(", text)),
)
sys.exit(0)
