"""Draws bytes.jpg: what a generator makes and how many bytes it has, from the pictures of the trial at full size.

python docs/pictures/bytes.py
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
CELLS = HERE.parents[1] / "experiments" / "plots" / "full-cells-0.png"
PANEL, GAP, TOP, BELOW, SCALE = 262, 12, 16, 62, 2
# The panel of the trial's picture, and what stands below it here, large enough for a phone.
PANELS = (
    (1, "75.4 MB", "float32"),
    (3, "2.41 MB", "PBGen's choice in one bit"),
    (4, "2.37 MB", "all layers in one bit"),
)


def main() -> None:
    trial = Image.open(CELLS).convert("RGB")
    height = trial.height - TOP
    picture = Image.new("RGB", (len(PANELS) * (PANEL + GAP) - GAP, height + BELOW), "white")
    picture = picture.resize((picture.width * SCALE, picture.height * SCALE))
    draw, large, small = ImageDraw.Draw(picture), ImageFont.load_default(60), ImageFont.load_default(42)
    for i, (panel, title, text) in enumerate(PANELS):
        left = panel * (PANEL + GAP)
        cut = trial.crop((left, TOP, left + PANEL, trial.height)).resize(
            (PANEL * SCALE, height * SCALE), Image.Resampling.LANCZOS
        )
        x = i * (PANEL + GAP) * SCALE
        picture.paste(cut, (x, 0))
        draw.text((x, height * SCALE), title, "black", large)
        draw.text((x, height * SCALE + 70), text, "#666", small)
    picture.save(HERE / "bytes.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
