"""A random landscape and its plain photograph: the motif that every style paints.

Coordinates are shares of the canvas: x to the right, y down, both in [0, 1]. No random draw depends on the canvas size,
so that one index is one scene at every resolution.
"""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

SKY, SUN, HILL, LAND, WATER, TREE, HOUSE, ROOF, SAIL = range(9)

# Colours at five hours: sky above, sky at the horizon, sun, light on the land.
HOURS = {
    "dawn": ((110, 130, 185), (250, 200, 175), (255, 225, 180), (1.0, 0.88, 0.85)),
    "noon": ((70, 130, 205), (200, 225, 240), (255, 250, 225), (1.05, 1.02, 0.95)),
    "afternoon": ((100, 150, 205), (245, 225, 185), (255, 240, 190), (1.08, 1.0, 0.85)),
    "dusk": ((75, 70, 125), (250, 145, 90), (255, 170, 90), (0.95, 0.72, 0.65)),
    "overcast": ((150, 160, 170), (215, 215, 210), (240, 240, 230), (0.88, 0.9, 0.92)),
}
GREENS = ((72, 105, 50), (96, 120, 55), (60, 92, 62), (125, 128, 60), (150, 128, 66))
ROCKS = ((92, 104, 120), (110, 98, 112), (84, 96, 92), (122, 108, 92))
WALLS = ((232, 220, 198), (214, 190, 160), (240, 236, 228))
ROOFS = ((160, 70, 50), (120, 80, 66), (92, 88, 96))


class Tree(NamedTuple):
    x: float
    foot: float
    height: float
    width: float
    colour: tuple
    seed: int


class House(NamedTuple):
    x: float
    foot: float
    width: float
    height: float
    wall: tuple
    roof: tuple


class Scene(NamedTuple):
    """The contents of a landscape. `hills` are (base, amplitude, 1-D profile, colour), far ones first."""

    hour: str
    horizon: float
    sun: tuple[float, float, float]  # x, y, radius
    hills: list
    water: bool
    shore: float  # y at which the near bank begins; 1 for none
    land: tuple
    trees: list[Tree]
    houses: list[House]
    sails: list[tuple[float, float, float]]  # x, y, height
    seed: int


class View:
    """A scene on a canvas of `shape` (H, W), rendered on first use: the geometric styles never need it."""

    def __init__(self, scene: Scene, h: int, w: int):
        self.scene, self.shape = scene, (h, w)

    @functools.cached_property
    def _layers(self) -> tuple[np.ndarray, np.ndarray]:
        return photograph(self.scene, *self.shape)

    @property
    def photo(self) -> np.ndarray:
        """float32 (H, W, 3) in [0, 1]."""
        return self._layers[0]

    @property
    def parts(self) -> np.ndarray:
        """uint8 (H, W), one of SKY ... SAIL for each pixel."""
        return self._layers[1]


def draw(rng: np.random.Generator) -> Scene:
    """Return a random scene."""

    def pick(options):
        return options[rng.integers(len(options))]

    hour = pick(list(HOURS))
    horizon = rng.uniform(0.42, 0.62)
    sun = (rng.uniform(0.12, 0.88), horizon - rng.uniform(0.08, 0.36), rng.uniform(0.035, 0.075))
    water = bool(rng.random() < 0.55)
    shore = rng.uniform(0.8, 0.97) if water else horizon
    count = rng.integers(1, 4)
    hills = []
    for i in range(count):
        near = (i + 1) / count
        colour = np.add(pick(ROCKS), 0) * (1 - 0.5 * near) + np.array(pick(GREENS)) * 0.5 * near
        hills.append((horizon - 0.02 * (1 - near), rng.uniform(0.08, 0.3) * (1.25 - 0.7 * near), _profile(rng), colour))
    trees = []
    for _ in range(rng.integers(1, 6)):
        depth = rng.random() ** 1.5
        foot = (shore if water else horizon) + 0.02 + depth * (0.98 - max(shore, horizon)) * 0.8
        height = rng.uniform(0.12, 0.26) + 0.25 * depth
        width = height * pick((0.22, 0.55, 0.8))
        trees.append(Tree(rng.uniform(0.03, 0.97), foot, height, width, pick(GREENS), int(rng.integers(2**31))))
    houses = []
    for _ in range(rng.integers(0, 3)):
        size = rng.uniform(0.07, 0.13)
        houses.append(House(rng.uniform(0.1, 0.85), horizon + 0.012, size * 1.3, size, pick(WALLS), pick(ROOFS)))
    sails = [
        (rng.uniform(0.1, 0.9), rng.uniform(horizon + 0.06, max(shore - 0.03, horizon + 0.08)), rng.uniform(0.07, 0.17))
        for _ in range(rng.integers(0, 4) if water else 0)
    ]
    trees.sort(key=lambda tree: tree.foot)
    return Scene(hour, horizon, sun, hills, water, shore, pick(GREENS), trees, houses, sails, int(rng.integers(2**31)))


def _profile(rng: np.random.Generator) -> np.ndarray:
    """Return 257 heights in [0, 1] of a mountain's outline: a few peaks, and noise in ever finer octaves."""
    x = np.linspace(0, 1, 257)
    line = np.zeros_like(x)
    for _ in range(rng.integers(1, 4)):
        line = np.maximum(line, rng.uniform(0.5, 1) - np.abs(x - rng.random()) * rng.uniform(1.2, 3.5))
    for octave in range(2, 7):
        nodes = rng.uniform(-1, 1, 2**octave + 1)
        line += 0.35 * 0.5 ** (octave - 1) * np.interp(x, np.linspace(0, 1, len(nodes)), nodes)
    line -= line.min()
    return line / line.max()


def noise(seed: int, h: int, w: int, rows: int = 4, columns: int = 4, octaves: int = 5) -> np.ndarray:
    """Return fractal value noise (h, w) in about [-1, 1], the same field at every size."""
    rng = np.random.default_rng(seed)
    total = np.zeros((h, w), np.float32)
    for octave in range(octaves):
        nodes = rng.uniform(-1, 1, (rows * 2**octave + 1, columns * 2**octave + 1)).astype(np.float32)
        field = Image.fromarray(nodes).resize((w, h), Image.Resampling.BICUBIC)
        total += np.asarray(field) * 0.5**octave
    return total


def blur(values: np.ndarray, radius: float) -> np.ndarray:
    """Return values in [0, 1] (h, w) after a Gaussian blur of `radius` pixels, in steps of 1/255."""
    picture = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def axes(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Return y (h, 1) and x (1, w) of the pixels' centres."""
    return (np.arange(h, dtype=np.float32)[:, None] + 0.5) / h, (np.arange(w, dtype=np.float32)[None] + 0.5) / w


def outline(hill, x: np.ndarray) -> np.ndarray:
    """Return the y of a hill's edge at x."""
    base, amplitude, profile, _ = hill
    return base - amplitude * np.interp(x, np.linspace(0, 1, len(profile)), profile).astype(np.float32)


def photograph(scene: Scene, h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (photo, parts), see `View`: the scene with light, haze and reflection."""
    y, x = axes(h, w)
    above, below, sun, light = (
        np.array(colour, np.float32) / (255 if i < 3 else 1) for i, colour in enumerate(HOURS[scene.hour])
    )
    parts = np.full((h, w), SKY, np.uint8)
    grain = noise(scene.seed, h, w, 16, 16, 4)

    depth = np.clip(y / scene.horizon, 0, 1)[..., None]
    photo = above + (below - above) * depth**1.4 + np.zeros((h, w, 1), np.float32)
    clouds = noise(scene.seed + 1, h, w, 6, 3, 5) + 0.15
    cover = np.clip(clouds * 1.6, 0, 1)[..., None] * (0.25 + 0.6 * (1 - depth))
    photo += (np.minimum(below + 0.2, 1) * (0.95 + 0.1 * grain[..., None]) - photo) * cover
    ratio = w / h
    distance = np.hypot((x - scene.sun[0]) * ratio, y - scene.sun[1])[..., None]
    photo += (sun - photo) * np.exp(-((distance / 0.28) ** 2)) * 0.55
    disc = np.clip((scene.sun[2] - distance) * h * 0.5 + 0.5, 0, 1)
    photo += (np.minimum(sun * 1.1, 1) - photo) * disc
    parts[disc[..., 0] > 0.5] = SUN

    for i, hill in enumerate(scene.hills):
        edge = outline(hill, x)
        mask = y > edge
        haze = 0.62 * (1 - (i + 0.6) / len(scene.hills)) + 0.12
        slope = np.gradient(edge[0]) * w * (1 if scene.sun[0] > 0.5 else -1)
        ridges = noise(scene.seed + 7 + i, h, w, 10, 14, 4)
        shade = 1 + 0.16 * np.tanh(2 * slope)[None] + 0.22 * ridges
        colour = (hill[3] / 255 * light) * shade[..., None] * (1 - haze) + (below * 0.55 + above * 0.35) * haze
        photo, parts = np.where(mask[..., None], colour, photo), np.where(mask, HILL, parts)

    _houses(scene, photo, parts, y, x, light)
    land = np.array(scene.land, np.float32) / 255 * light
    near = np.clip((y - scene.horizon) / (1 - scene.horizon), 0, 1)
    turf = noise(scene.seed + 3, h, w, 24, 8, 4)
    meadow = land * (1.25 - 0.55 * near + 0.3 * turf * (0.3 + near))[..., None]
    meadow = meadow * (0.65 + 0.35 * near[..., None]) + below * 0.3 * (1 - near[..., None])
    if scene.water:
        photo, parts = _water(scene, photo, parts, y, x, above)
        bank = y > scene.shore + 0.03 * noise(scene.seed + 4, 1, w, 1, 4, 4)
        photo, parts = np.where(bank[..., None], meadow * 0.85, photo), np.where(bank, LAND, parts)
        _sails(scene, photo, parts, y, x)
    else:
        mask = y > scene.horizon + 0.012 * noise(scene.seed + 4, 1, w, 1, 4, 4)
        mask &= ~((parts == HOUSE) | (parts == ROOF))
        photo, parts = np.where(mask[..., None], meadow, photo), np.where(mask, LAND, parts)
    for tree in scene.trees:
        _tree(tree, photo, parts, y, x, light, scene.sun[0])
    return np.clip(photo + 0.012 * grain[..., None], 0, 1).astype(np.float32), parts.astype(np.uint8)


def _houses(scene, photo, parts, y, x, light):
    for house in scene.houses:
        wall = (np.abs(x - house.x) < house.width / 2) & (y < house.foot) & (y > house.foot - house.height * 0.6)
        top = house.foot - house.height * 0.6
        rise = (top - y) / (house.height * 0.5)
        roof = (y < top) & (rise < 1) & (np.abs(x - house.x) < house.width * 0.6 * (1 - rise * 0.75))
        lit = np.where(x < house.x + 0.1 * house.width, 1.0, 0.78)[..., None]
        photo[wall] = (np.array(house.wall, np.float32) / 255 * light * lit * np.ones_like(photo))[wall]
        photo[roof] = np.array(house.roof, np.float32) / 255 * light
        parts[wall], parts[roof] = HOUSE, ROOF


def _water(scene, photo, parts, y, x, above):
    """Return (photo, parts) with water that mirrors the view above the horizon, with ripples that grow nearer."""
    h, w = parts.shape
    ripples = noise(scene.seed + 5, h, w, 40, 5, 3)
    drop = np.clip(y - scene.horizon, 0, 1)
    rows = np.clip((scene.horizon - drop * 1.1 + ripples * (0.01 + 0.1 * drop)) * h, 0, scene.horizon * h - 1)
    mirrored = photo[rows.astype(int), np.arange(w)[None]]
    tint = np.array((0.16, 0.3, 0.4), np.float32) * 0.6 + above * 0.4
    sheen = 0.75 - 0.35 * drop[..., None]
    surface = mirrored * sheen * 0.95 + tint * (1 - sheen) + 0.05 * ripples[..., None]
    mask = y > scene.horizon
    return np.where(mask[..., None], surface, photo), np.where(mask, WATER, parts)


def _sails(scene, photo, parts, y, x):
    for left, foot, height in scene.sails:
        rise = (foot - y) / height
        sail = (rise > 0.12) & (rise < 1) & (x > left) & (x < left + height * 0.55 * (1 - rise))
        hull = (rise > 0) & (rise <= 0.12) & (np.abs(x - left - 0.1 * height) < height * (0.3 + 0.8 * rise))
        photo[sail], photo[hull] = (0.96, 0.93, 0.86), (0.24, 0.17, 0.14)
        parts[sail | hull] = SAIL


def _tree(tree, photo, parts, y, x, light, sun_x):
    h, w = parts.shape
    trunk = (np.abs(x - tree.x) < 0.012 + 0.02 * tree.height) & (y < tree.foot) & (y > tree.foot - tree.height * 0.5)
    photo[trunk] = np.array((0.25, 0.19, 0.15)) * light
    parts[trunk] = TREE
    edge = noise(tree.seed, h, w, 14, 14, 3)
    dx, dy = (x - tree.x) / (tree.width / 2), (y - tree.foot + tree.height * 0.6) / (tree.height * 0.45)
    crown = dx**2 + dy**2 + 0.45 * edge < 0.95
    side = 1 if sun_x > tree.x else -1
    shade = np.clip(0.8 + 0.28 * side * dx - 0.3 * dy + 0.35 * edge, 0.35, 1.5)
    colour = np.array(tree.colour, np.float32) / 255 * light * shade[..., None]
    photo[crown] = colour[crown]
    parts[crown] = TREE
