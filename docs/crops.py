"""Print docs/train.md's table of one picture: windows of SinGAN's samples, and FastGAN's samples, beside the picture's.

python docs/crops.py SINGAN FASTGAN

The runs: python launch.py train --config=singan --config.data.path=a619072f82.jpg --workdir=SINGAN, of monet2photo, and
--config=fastgan --config.data.load_size=96 --config.data.resolution=48 stopped after 7,184 images, of the same file.
"""

import sys

import ganjax
from ganjax import data
from ganjax.data.images import to_uint8
from ganjax.metrics import evaluate
from ganjax.metrics.sets import Side
from ganjax.tasks import single

NUM, METRICS = 400, ("rand_fd", "lite_fd", "copy_ratio")


def main(singan: str, fastgan: str) -> None:
    one, many = ganjax.load(singan), ganjax.load(fastgan)
    real = single.windows(data.open_table(one.config.data).images, single.REAL_STEPS)
    rows = {
        "other windows of the picture": real[1::2],
        "`singan`": single.windows(to_uint8(one.sample(NUM // single.SAMPLE_STEPS**2)), single.SAMPLE_STEPS),
        "`fastgan`": to_uint8(many.sample(NUM)),
    }
    print(f"| 48x48 px | {' | '.join(f'`{name}`' for name in METRICS)} |\n|---" + "|---" * len(METRICS) + "|")
    for title, images in rows.items():
        against = Side(real[::2] if title.startswith("other") else real)
        found = [evaluate.metric(name).compute(against, Side(images), evaluate.Options(0))["value"] for name in METRICS]
        print(f"| {title} | {' | '.join(f'{value:.3g}' for value in found)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
