"""Draws bytes.jpg: what a generator makes and how many bytes it has, from the pictures of the trial at full size.

python docs/pictures/bytes.py
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
CELLS = HERE.parents[1] / "experiments" / "plots" / "full-cells-0.png"
PANEL, GAP, TOP, BELOW, SCALE = 262, 12, 16, 32, 2
# The panel of the trial's picture, and what stands below it here.
PANELS = (
    (1, "float32: 75.4 MB", "what others ship"),
    (3, "PBGen's choice in one bit: 2.41 MB", "four of five layers, which it tells in a moment"),
    (4, "all layers in one bit: 2.37 MB", "why the choice matters"),
)


def main() -> None:
    trial = Image.open(CELLS).convert("RGB")
    height = trial.height - TOP
    picture = Image.new("RGB", (len(PANELS) * (PANEL + GAP) - GAP, height + BELOW), "white")
    picture = picture.resize((picture.width * SCALE, picture.height * SCALE))
    draw, large, small = ImageDraw.Draw(picture), ImageFont.load_default(26), ImageFont.load_default(20)
    for i, (panel, title, text) in enumerate(PANELS):
        left = panel * (PANEL + GAP)
        cut = trial.crop((left, TOP, left + PANEL, trial.height)).resize(
            (PANEL * SCALE, height * SCALE), Image.Resampling.LANCZOS
        )
        x = i * (PANEL + GAP) * SCALE
        picture.paste(cut, (x, 0))
        draw.text((x, height * SCALE + 4), title, "black", large)
        draw.text((x, height * SCALE + 36), text, "#666", small)
    picture.save(HERE / "bytes.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
