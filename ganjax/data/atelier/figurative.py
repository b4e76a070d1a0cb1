"""Styles that show the scene: impressionism, pointillism, ukiyo-e, ink wash.

Each style is a function (scene, view, rng) -> PIL image, RGB, of the view's size.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ganjax.data.atelier.scene import HILL, HOUSE, LAND, ROOF, SAIL, SKY, SUN, TREE, WATER, blur, noise, outline

PIGMENTS = np.array(  # Seurat's wheel: pure hues, and their tints with white
    [
        (214, 50, 42), (232, 120, 40), (246, 196, 50), (150, 180, 60), (50, 130, 80), (40, 130, 150), (36, 80, 160),
        (90, 60, 140), (160, 60, 110), (244, 170, 160), (250, 220, 170), (210, 224, 160), (160, 205, 200),
        (160, 190, 226), (200, 180, 220), (250, 244, 228), (40, 50, 90), (70, 90, 50), (120, 80, 60),
    ],
    np.float32,
)  # fmt: skip


def _saturate(rgb: np.ndarray, factor: float) -> np.ndarray:
    mean = rgb.mean(-1, keepdims=True)
    return np.clip(mean + (rgb - mean) * factor, 0, 1)


def impressionism(scene, view, rng) -> Image.Image:
    """Short separate strokes of pure, light colour that follow the form; violet shadows; no outline, no black."""
    h, w = view.shape
    unit = min(h, w)
    target = _saturate(view.photo, 1.55) * 0.86 + 0.12
    dark = np.clip(0.5 - target.mean(-1, keepdims=True), 0, 1)
    target = np.clip(target + dark * np.array((0.12, -0.02, 0.3)), 0, 1)
    light = blur(view.photo.mean(-1), unit / 40)
    gy, gx = np.gradient(light)
    swirl = noise(scene.seed + 9, h, w, 3, 3, 2)
    along = np.arctan2(gx, -gy)
    for part, angle in ((SKY, 0.25 + 0.9 * swirl), (WATER, 0.12 * swirl), (LAND, -0.5 + 0.7 * swirl)):
        along = np.where(view.parts == part, angle, along)
    canvas = Image.fromarray((np.clip(target * 0.9 + 0.05, 0, 1) * 255).astype(np.uint8))
    canvas = canvas.filter(ImageFilter.GaussianBlur(unit / 30))
    pen = ImageDraw.Draw(canvas)
    for length, width, spacing in ((0.11, 0.034, 0.042), (0.065, 0.021, 0.027), (0.04, 0.013, 0.021)):
        rows, columns = int(h / (spacing * unit)), int(w / (spacing * unit))
        cells = np.stack(np.divmod(rng.permutation(rows * columns), columns), -1)
        y, x = ((cells + rng.random(cells.shape)) / (rows, columns) * (h, w)).T
        pixel = np.minimum(y.astype(int), h - 1), np.minimum(x.astype(int), w - 1)
        half = length * unit / 2 * rng.uniform(0.7, 1.3, len(cells))
        dx, dy = np.cos(along[pixel]) * half, np.sin(along[pixel]) * half
        colour = target[pixel] + rng.normal(0, 0.075, (len(cells), 3))
        thick = width * unit
        # A brush stroke: its body, a light ridge above, a dark furrow below.
        bristles = ((0.0, 0.0, 1.0), (-0.28, 0.07, 0.35), (0.3, -0.06, 0.25))
        for strokes in zip(*(_bristle(x, y, dx, dy, colour, thick, *bristle) for bristle in bristles), strict=True):
            for line, ink, size in strokes:
                pen.line(line, ink, size)
    return canvas


def _bristle(x, y, dx, dy, colour, thick, offset, shade, share):
    """Return [(line, colour, width)] of one bristle of every stroke."""
    lines = np.stack([x - dx, y - dy + offset * thick, x + dx, y + dy + offset * thick], -1).tolist()
    inks = (np.clip(colour + shade, 0, 1) * 255).round().astype(int).tolist()
    size = max(1, round(thick * share))
    return [(line, tuple(ink), size) for line, ink in zip(lines, inks, strict=True)]


def pointillism(scene, view, rng) -> Image.Image:
    """Dots of a few pure pigments that the eye mixes: each dot has the pigment nearest to the colour plus noise."""
    h, w = view.shape
    unit = min(h, w)
    target = _saturate(view.photo, 1.7) * 0.88 + 0.1
    canvas = Image.new("RGB", (w, h), (240, 230, 208))
    pen = ImageDraw.Draw(canvas)
    radius = unit / 62
    for scale in (1.25, 0.9):
        step = radius * 1.45 * scale
        rows, columns = int(h / step) + 1, int(w / step) + 1
        places = np.stack(np.divmod(np.arange(rows * columns), columns), -1) + rng.random((rows * columns, 2))
        pixels = np.clip((places * step).astype(int), 0, (h - 1, w - 1))
        colours = target[pixels[:, 0], pixels[:, 1]] * 255 + rng.normal(0, 26, (len(places), 3))
        nearest = ((colours[:, None] - PIGMENTS) ** 2).sum(-1).argmin(1)
        for (y, x), pigment in zip(places * step, nearest, strict=True):
            r = radius * scale * 0.85
            pen.ellipse([x - r, y - r, x + r, y + r], tuple(PIGMENTS[pigment].astype(int).tolist()))
    return canvas


def ukiyo_e(scene, view, rng) -> Image.Image:
    """Woodblock: flat colours with graded skies (bokashi), even dark outlines, a snow-capped cone, rows of waves,
    a red seal.
    """
    h, w = view.shape
    y = np.linspace(0, 1, h)[:, None]
    paper = np.array((0.94, 0.89, 0.77))
    indigo = np.array(((0.13, 0.24, 0.42), (0.17, 0.33, 0.48), (0.12, 0.2, 0.34))[rng.integers(3)])
    blush = np.array(((0.93, 0.66, 0.52), (0.95, 0.8, 0.58), (0.85, 0.72, 0.7))[rng.integers(3)])
    top = np.clip(1 - y / (scene.horizon * 0.55), 0, 1)[..., None] ** 1.5
    low = np.clip((y - scene.horizon * 0.5) / (scene.horizon * 0.5), 0, 1)[..., None]
    flat = (paper * (1 - top) + indigo * top) * (1 - 0.85 * low) + blush * 0.85 * low + np.zeros((h, w, 1))
    x = (np.arange(w) + 0.5) / w
    sun = np.hypot((x[None] - scene.sun[0]) * w / h, y - scene.sun[1]) < scene.sun[2] * 1.5
    flat[sun] = (0.82, 0.2, 0.15)
    parts = view.parts.copy()
    parts[parts == SUN] = SKY
    parts[sun & (parts == SKY)] = SUN

    peak, foot = scene.horizon - rng.uniform(0.26, 0.36), scene.horizon + 0.01
    centre, spread = rng.uniform(0.25, 0.75), rng.uniform(0.34, 0.5)
    side = np.clip(1 - np.abs(x - centre) / spread, 0, 1)
    cone = foot - (foot - peak) * np.minimum(side**1.7 / 0.84, 1)
    mountain = (y > cone[None]) & (y < foot) & ((parts == SKY) | (parts == SUN) | (parts == HILL))
    flat[mountain] = np.array(((0.28, 0.4, 0.55), (0.62, 0.34, 0.26), (0.36, 0.44, 0.48))[rng.integers(3)])
    snow = peak + (foot - peak) * (0.24 + 0.09 * np.abs(np.sin(x * 55 + scene.seed % 7)))
    flat[mountain & (y < snow[None])] = (0.97, 0.95, 0.9)
    parts[mountain] = HILL + 20
    tones = {LAND: (0.58, 0.62, 0.36), TREE: (0.2, 0.34, 0.27), HOUSE: (0.88, 0.78, 0.58), ROOF: (0.4, 0.3, 0.26)}
    for part, tone in tones.items():
        flat[parts == part] = tone
    flat[parts == SAIL] = (0.97, 0.94, 0.86)
    if scene.hills:
        edge = outline(scene.hills[-1], x)
        hill = (parts == HILL) & (y > edge[None])
        flat[hill] = np.array((0.42, 0.5, 0.36)) * (1.15 - 0.35 * low * np.ones((h, w, 1)))[hill]
        flat[(parts == HILL) & ~hill] = (0.6, 0.66, 0.66)
    water = parts == WATER
    if water.any():
        depth = np.clip((y - scene.horizon) / (1 - scene.horizon), 0, 1)
        # Rows of crests, larger towards the viewer: distance is proportional to 1 / depth.
        rows = 9 * np.sqrt(depth) * np.ones((h, w))
        bump = np.abs(np.sin(np.pi * (x[None] * 4.5 / (0.35 + depth) + 0.5 * (np.floor(rows) % 2))))
        wave = (rows + 0.55 * bump) % 1
        sea = indigo * 1.15 * (1 - wave[..., None]) + np.array((0.62, 0.76, 0.78)) * wave[..., None]
        sea[wave > 0.86] = (0.96, 0.95, 0.9)
        flat[water] = sea[water]
    edges = np.zeros((h, w), bool)
    edges[1:] |= parts[1:] != parts[:-1]
    edges[:, 1:] |= parts[:, 1:] != parts[:, :-1]
    thick = Image.fromarray((edges * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(max(3, h // 96 // 2 * 2 + 1)))
    flat[np.asarray(thick) > 0] = indigo * 0.55
    flat = flat * (1 + 0.035 * noise(scene.seed + 11, h, w, 32, 4, 3)[..., None])
    image = Image.fromarray((np.clip(flat, 0, 1) * 255).astype(np.uint8))
    left = 0.05 if centre > 0.5 else 0.89
    ImageDraw.Draw(image).rectangle([left * w, 0.06 * h, (left + 0.06) * w, 0.17 * h], (186, 44, 36))
    return image


def ink_wash(scene, view, rng) -> Image.Image:
    """Sumi-e: ink alone, diluted with distance; empty mist; dry brush in the trees; a red seal."""
    h, w = view.shape
    y = np.linspace(0, 1, h)[:, None]
    x = (np.arange(w) + 0.5)[None] / w
    grain = noise(scene.seed + 12, h, w, 30, 30, 3)
    ink = np.full((h, w), 0.03, np.float32)
    for i, hill in enumerate(scene.hills):
        near = (i + 1) / len(scene.hills)
        edge = outline((hill[0], hill[1] * 1.35, hill[2], hill[3]), x)
        below = (y - edge) / 0.22
        wash = np.exp(-np.clip(below, 0, None) * 1.6) * (below > 0) * (0.22 + 0.5 * near)
        rim = np.exp(-((below / 0.05) ** 2)) * 0.3 * near
        ink = np.maximum(ink, wash * (1 + 0.35 * grain) + rim)
    dark = {TREE: 0.82, HOUSE: 0.25, ROOF: 0.62, SAIL: 0.4, LAND: 0.5}
    for part, tone in dark.items():
        mask = (view.parts == part).astype(np.float32)
        near = np.clip((y - scene.horizon) / (1 - scene.horizon), 0, 1) ** 2 if part == LAND else 1
        ink = np.where(mask > 0, tone * (0.85 + 0.5 * grain) * near, ink)
    if scene.water:
        lines = np.sin(70 * np.sqrt(np.clip(y - scene.horizon, 0, 1)))
        ink = np.where(view.parts == WATER, 0.05 + 0.1 * (lines + 0.7 * grain > 0.75), ink)
    ring = np.abs(np.hypot((x - scene.sun[0]) * w / h, y - scene.sun[1]) - scene.sun[2] * 1.4)
    ink = np.where((view.parts <= SUN) & (ring < 0.006), 0.3, ink)
    ink = blur(ink, min(h, w) / 170)[..., None]
    paper = np.array((0.93, 0.9, 0.83)) * (1 + 0.02 * grain[..., None])
    rgb = paper * (1 - ink) + np.array((0.08, 0.08, 0.1)) * ink
    image = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    side = 0.06 if scene.sun[0] > 0.5 else 0.86
    ImageDraw.Draw(image).rectangle([side * w, 0.84 * h, (side + 0.075) * w, 0.915 * h], (178, 40, 34))
    return image
