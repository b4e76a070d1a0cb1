"""Make docs/atelier.jpg: eight scenes, their photographs, and every style of the atelier.

python docs/atelier.py
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ganjax.data import atelier

SIZE, GAP, MARGIN, SCENES = 96, 4, 108, (0, 4, 6, 50, 53, 54, 55)


def main() -> None:
    rows = ["photograph", *atelier.STYLES]
    sheet = Image.new("RGB", (MARGIN + len(SCENES) * (SIZE + GAP), len(rows) * (SIZE + GAP)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row, style in enumerate(rows):
        top = row * (SIZE + GAP)
        pen.text((4, top + SIZE / 2 - 8), style.replace("_", " "), "black", font)
        for column, index in enumerate(SCENES):
            size = (SIZE, SIZE)
            picture = atelier.photograph(index, size) if row == 0 else atelier.paint(index, size, style)
            sheet.paste(picture, (MARGIN + column * (SIZE + GAP), top))
    sheet.save(Path(__file__).with_suffix(".jpg"), quality=88)


if __name__ == "__main__":
    main()
