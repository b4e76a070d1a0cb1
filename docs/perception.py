"""Print the table in docs/measure.md of what each metric sees: its distance from real images to changed real images.

python docs/perception.py --data=FOLDER_WITH_A_SUBFOLDER_PER_LABEL [--resolution=64] [--num=3000] [--out=FILE.json]

The images are split into two halves of `num`. One is the reference; each change is made to the other half, which is
then measured against the reference. People hardly mind a blur of half a pixel, or JPEG, and do mind a face upside down.
"""

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from ganjax.data import cache, folder
from ganjax.metrics import evaluate
from ganjax.metrics.sets import Side

METRICS = ("lite_fd", "lite_kd", "rand_fd", "rand_kd", "clf_fd", "patch_fd", "swd", "colour", "lite_prdc", "rand_prdc")
GREY = np.array([0.299, 0.587, 0.114])


def blur(images: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="mirror")


def noise(images: np.ndarray, sigma: float) -> np.ndarray:
    return images + sigma * np.random.default_rng(0).standard_normal(images.shape, np.float32)


def jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    def decode(image: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return np.stack([decode(image) for image in images])


def shuffle_blocks(images: np.ndarray, side: int) -> np.ndarray:
    """Return square images with their blocks of `side` pixels in random order, another order for each image."""
    rows, rng = images.shape[1] // side, np.random.default_rng(0)
    split = images.reshape(len(images), rows, side, rows, side, -1).transpose(0, 1, 3, 2, 4, 5)
    blocks = split.reshape(len(images), rows * rows, side, side, -1)
    blocks = np.stack([image[rng.permutation(len(image))] for image in blocks])
    return blocks.reshape(split.shape).transpose(0, 1, 3, 2, 4, 5).reshape(images.shape)


def scramble_phases(images: np.ndarray) -> np.ndarray:
    """Return images with the same spectrum of amplitudes and random phases: no shape is left."""
    noise = np.random.default_rng(0).standard_normal((len(images), *images.shape[1:3], 1))
    phases = np.angle(np.fft.rfft2(noise, axes=(1, 2)))
    phases[:, 0, 0] = 0  # the mean stays
    return np.fft.irfft2(np.fft.rfft2(images, axes=(1, 2)) * np.exp(1j * phases), images.shape[1:3], axes=(1, 2))


def desaturate(images: np.ndarray, share: float) -> np.ndarray:
    grey = (images @ GREY)[..., None]
    return grey + (1 - share) * (images - grey)


CHANGES = {
    "unchanged": lambda images: images,
    "blur, 0.5 px": lambda images: blur(images, 0.5),
    "blur, 1 px": lambda images: blur(images, 1),
    "blur, 1 px, and noise, 10": lambda images: noise(blur(images, 1), 10),
    "blur, 2 px": lambda images: blur(images, 2),
    "blur, 2 px, and noise, 10": lambda images: noise(blur(images, 2), 10),
    "noise, 10 of 255": lambda images: noise(images, 10),
    "JPEG, quality 30": lambda images: jpeg(images, 30),
    "quarters shuffled": lambda images: shuffle_blocks(images, images.shape[1] // 2),
    "8-px blocks shuffled": lambda images: shuffle_blocks(images, 8),
    "phases scrambled": scramble_phases,
    "upside down": lambda images: images[:, ::-1],
    "half the saturation": lambda images: desaturate(images, 0.5),
    "brightness + 10 of 255": lambda images: images + 10.0,
    "half the contrast": lambda images: 127.5 + 0.5 * (images - 127.5),
}


def values_of(results: dict) -> dict[str, float]:
    """Return the values to show; of precision, recall, density and coverage, the precision."""
    return {name: result.get("precision", result["value"]) for name, result in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--metrics", default=",".join(METRICS))
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--num", type=int, default=3000)
    parser.add_argument("--out", type=Path, help="JSON of the values; changes that it holds are not measured again")
    options = parser.parse_args()
    names = tuple(options.metrics.split(","))
    values = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    faces = cache.load(folder.Folder(options.data, labels=True), options.resolution, options.resolution, 3)
    rows = np.random.default_rng(0).permutation(len(faces.images))[: 2 * options.num]
    kept, changed = np.sort(rows[: options.num]), np.sort(rows[options.num :])
    real, images = Side(faces.images[kept], faces.labels[kept], faces.classes), faces.images[changed]
    for change in tqdm([change for change in CHANGES if change not in values]):
        pixels = np.clip(np.round(CHANGES[change](images)), 0, 255).astype(np.uint8)
        fake = Side(pixels)
        results = {name: evaluate.metric(name).compute(real, fake, evaluate.Options()) for name in names}
        values[change] = values_of(results)
        if options.out:
            options.out.write_text(json.dumps(values, indent=1))
    print("| the other half | " + " | ".join(f"`{name}`" for name in names) + " |\n" + "|---" * (1 + len(names)) + "|")
    for change, row in values.items():
        print(f"| {change} | " + " | ".join(f"{row[name]:.3g}" for name in names) + " |")


if __name__ == "__main__":
    main()
