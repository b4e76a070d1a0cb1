"""Styles that keep only the composition of the scene: De Stijl, suprematism, colour field, op art.

Each style is a function (scene, view, rng) -> PIL image, RGB, of the view's size.
"""

import numpy as np
from PIL import Image, ImageDraw

from ganjax.data.atelier.scene import blur, noise


def de_stijl(scene, view, rng) -> Image.Image:
    """Mondrian's rules: horizontal and vertical black lines only, off-white planes, few primaries, no symmetry.

    The scene's horizon, trees, houses and sails give the lines; planes between them are joined at random.
    """
    h, w = view.shape
    unit = min(h, w)
    spots = [tree.x for tree in scene.trees] + [house.x for house in scene.houses] + [s[0] for s in scene.sails]
    columns = _spread([*spots, scene.sun[0], rng.random()], rng.integers(2, 5))
    rows = _spread([scene.horizon, scene.sun[1], rng.uniform(0.7, 0.92), rng.random()], rng.integers(2, 5))
    xs, ys = [0, *columns, 1], [0, *rows, 1]
    cells = np.arange((len(ys) - 1) * (len(xs) - 1)).reshape(len(ys) - 1, len(xs) - 1)
    for _ in range(rng.integers(1, 4)):  # join a block of cells into one plane
        top, left = rng.integers(cells.shape[0]), rng.integers(cells.shape[1])
        block = cells[top : top + rng.integers(1, 3), left : left + rng.integers(1, 3)]
        if all((cells == value).sum() == 1 for value in block.flat):
            block[...] = block.flat[0]
    white = (240, 238, 228)
    image = Image.new("RGB", (w, h), white)
    pen = ImageDraw.Draw(image)
    primaries = [(208, 36, 32), (28, 66, 150), (244, 202, 34)]
    planes = rng.permutation(np.unique(cells))
    colours = {int(plane): primaries[i % 3] for i, plane in enumerate(planes[: rng.integers(2, 5)])}
    for plane in planes[len(colours) : len(colours) + 2]:
        colours[int(plane)] = ((24, 24, 26), (212, 214, 212), (226, 226, 220))[rng.integers(3)]
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            box = [xs[column] * w, ys[row] * h, xs[column + 1] * w, ys[row + 1] * h]
            pen.rectangle(box, colours.get(int(cells[row, column]), white))
    line = max(2, round(unit * rng.uniform(0.028, 0.045)))
    ink = (18, 18, 20)
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            right, bottom = xs[column + 1] * w, ys[row + 1] * h
            if column + 1 < cells.shape[1] and cells[row, column] != cells[row, column + 1]:
                pen.line([right, ys[row] * h - line / 2, right, bottom + line / 2], ink, line)
            if row + 1 < cells.shape[0] and cells[row, column] != cells[row + 1, column]:
                pen.line([xs[column] * w - line / 2, bottom, right + line / 2, bottom], ink, line)
    return image


def _spread(places: list[float], count: int) -> list[float]:
    """Return up to `count` of the places, sorted, more than 0.13 apart and from the border."""
    cells = []
    for place in places:
        if len(cells) < count and all(abs(place - other) > 0.13 for other in (0, 1, *cells)):
            cells.append(float(place))
    return sorted(cells) or [0.38]


def suprematism(scene, view, rng) -> Image.Image:
    """Malevich: flat geometric bodies afloat on white along one diagonal, large dark ones and many small bars."""
    h, w = view.shape
    unit = min(h, w)
    image = Image.new("RGB", (w, h), ((238, 232, 218), (244, 240, 230), (228, 222, 208))[rng.integers(3)])
    pen = ImageDraw.Draw(image)
    tilt = rng.choice((-1, 1)) * rng.uniform(0.35, 0.75)
    inks = [(26, 24, 26), (196, 38, 30), (30, 62, 132), (226, 168, 36), (26, 24, 26), (60, 104, 66), (204, 108, 60)]

    def bar(x, y, length, thick, colour, turn=0.0):
        angle = tilt + turn
        along = np.array((np.cos(angle), np.sin(angle))) * length * unit / 2
        across = np.array((-np.sin(angle), np.cos(angle))) * thick * unit / 2
        centre = np.array((x * w, y * h))
        corners = [centre + a * along + b * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        pen.polygon([tuple(corner) for corner in corners], colour)

    big = rng.uniform(0.3, 0.46)
    bar(0.5 + rng.uniform(-0.14, 0.14), scene.horizon, big * 1.3, big * rng.uniform(0.45, 0.9), inks[0])
    bar(rng.uniform(0.3, 0.7), rng.uniform(0.55, 0.8), rng.uniform(0.3, 0.6), rng.uniform(0.07, 0.14), inks[1])
    radius = scene.sun[2] * 1.7 * unit
    cx, cy = scene.sun[0] * w, scene.sun[1] * h
    pen.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], inks[rng.integers(1, 4)])
    for tree in scene.trees:
        bar(tree.x, tree.foot - tree.height / 2, tree.height * 1.5, 0.035, inks[rng.integers(len(inks))])
    for house in scene.houses:
        bar(house.x, house.foot, house.width * 1.1, house.width, inks[rng.integers(1, 4)], rng.uniform(-0.2, 0.2))
    for _ in range(rng.integers(3, 7)):
        x, y = rng.uniform(0.12, 0.88, 2)
        turn = np.pi / 2 if rng.random() < 0.3 else 0.0
        bar(x, y, rng.uniform(0.08, 0.3), rng.uniform(0.012, 0.04), inks[rng.integers(len(inks))], turn)
    x, y = rng.uniform(0.15, 0.85, 2)
    bar(x, y, 0.13, 0.035, inks[0])
    bar(x, y, 0.13, 0.035, inks[0], np.pi / 2)
    return image


def colour_field(scene, view, rng) -> Image.Image:
    """Rothko: two or three stacked fields with soft, uneven edges that hover on a ground near their own colour."""
    h, w = view.shape
    y, x = (np.arange(h)[:, None] + 0.5) / h, (np.arange(w)[None] + 0.5) / w
    palettes = (
        ((0.42, 0.08, 0.1), (0.86, 0.2, 0.12), (0.95, 0.5, 0.14), (0.3, 0.05, 0.1)),
        ((0.86, 0.55, 0.16), (0.96, 0.78, 0.24), (0.9, 0.36, 0.14), (0.97, 0.88, 0.6)),
        ((0.1, 0.13, 0.27), (0.16, 0.27, 0.5), (0.07, 0.08, 0.14), (0.36, 0.42, 0.6)),
        ((0.3, 0.12, 0.24), (0.56, 0.14, 0.26), (0.16, 0.1, 0.16), (0.8, 0.42, 0.4)),
        ((0.24, 0.34, 0.28), (0.12, 0.22, 0.2), (0.64, 0.66, 0.4), (0.1, 0.12, 0.14)),
        ((0.82, 0.66, 0.56), (0.94, 0.86, 0.72), (0.78, 0.34, 0.28), (0.56, 0.6, 0.62)),
    )
    palette = np.array(palettes[rng.integers(len(palettes))], np.float32)
    ground, fields = palette[0], palette[1 + rng.permutation(3)]
    rgb = ground * (1 + 0.05 * noise(scene.seed, h, w, 4, 4, 4)[..., None])
    count = rng.integers(2, 4)
    heights = rng.uniform(0.6, 1.6, count)
    if count == 2:  # the horizon separates sky from land
        heights = np.array((scene.horizon, 1 - scene.horizon))
    heights = heights / heights.sum() * 0.86
    top, margin = 0.06, rng.uniform(0.06, 0.1)
    for i in range(count):
        bottom = top + heights[i] - 0.025
        wobble = noise(scene.seed + 20 + i, h, w, 9, 9, 4) * 0.016
        inside = np.minimum(np.minimum(x - margin, 1 - margin - x), np.minimum(y - top, bottom - y)) + wobble
        cover = 1 / (1 + np.exp(-np.clip(inside / 0.009, -30, 30)))
        brush = noise(scene.seed + 30 + i, h, w, 22, 3, 4)
        field = fields[i] * (1 + 0.1 * brush[..., None]) + 0.05 * noise(scene.seed + 40 + i, h, w, 3, 3, 3)[..., None]
        rgb = rgb + (field - rgb) * (cover * (0.9 + 0.08 * brush))[..., None]
        top = bottom + 0.025
    return Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))


def op_art(scene, view, rng) -> Image.Image:
    """Riley and Vasarely: regular stripes or checks that swell where the scene's light and its sun do."""
    h, w = view.shape
    unit = min(h, w)
    y, x = (np.arange(h)[:, None] + 0.5) / unit, (np.arange(w)[None] + 0.5) / unit
    relief = blur(view.photo.mean(-1), unit / 9) - 0.5
    sun_x, sun_y = scene.sun[0] * w / unit, scene.sun[1] * h / unit
    radius = rng.uniform(0.24, 0.4)
    offset = np.hypot(x - sun_x, y - sun_y) / radius
    bulge = np.where(offset < 1, np.sqrt(np.clip(1 - offset**2, 0, 1)), 0)
    count = rng.integers(7, 12)
    across = x + (x - sun_x) * -0.55 * bulge
    down = y + (y - sun_y) * -0.55 * bulge
    kind = rng.integers(3)
    if kind == 0:  # waves
        phase = np.sin(
            np.pi * count * (across + 0.11 * np.sin(2 * np.pi * down * rng.uniform(0.8, 1.6)) + 0.5 * relief)
        )
    elif kind == 1:  # a swelling checkerboard
        phase = np.sin(np.pi * count * across) * np.sin(np.pi * count * down) * 1.6
    else:  # rings about the sun
        phase = np.sin(np.pi * count * 1.4 * (np.hypot(x - sun_x, y - sun_y) + 0.4 * relief))
    sharp = 0.5 + 0.5 * np.tanh(phase * unit / count / 3)
    pairs = (
        ((0.06, 0.06, 0.07), (0.96, 0.95, 0.92)),
        ((0.06, 0.06, 0.07), (0.96, 0.95, 0.92)),
        ((0.75, 0.1, 0.12), (0.95, 0.92, 0.84)),
        ((0.08, 0.18, 0.5), (0.95, 0.83, 0.2)),
    )
    dark, bright = (np.array(colour) for colour in pairs[rng.integers(len(pairs))])
    rgb = dark + (bright - dark) * sharp[..., None]
    return Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))
