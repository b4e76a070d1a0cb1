"""Print, as JSON, the metrics of two fixed sets on all devices: scores.py [COORDINATOR PROCESSES PROCESS]."""

import json
import sys

import jax
import numpy as np

from ganjax.metrics import evaluate
from ganjax.metrics.sets import Side
from ganjax.system import devices

if len(sys.argv) > 1:
    devices.start(True, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (2, 500, 8, 8, 3), np.uint8).repeat(4, 2).repeat(4, 3)
with jax.set_mesh(devices.make_mesh(-1, jax.device_count())):
    sides = Side(images[0]), Side(images[1] // 2 + 60)
    results = evaluate.score(("rand_fd", "rand_kd", "rand_prdc"), *sides)
print(json.dumps({name: [result["value"], result["baseline_real_real"]["value"]] for name, result in results.items()}))
