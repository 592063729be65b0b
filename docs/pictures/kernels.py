"""Draws the pictures of docs/kernels.md: python docs/pictures/kernels.py"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

plt.rcParams["svg.hashsalt"] = "pbgen"  # the same picture each time
FOLDER = Path(__file__).parent
INK, GREY, LIGHT = "#222222", "#8a8a8a", "#eeeeee"
PLUS, MINUS = "#d9e8f6", "#f9dcc4"
PHASES = ["#f4a259", "#8cb369", "#5b8e7d", "#bc4b51"]
COLOURS = ["#bc4b51", "#8cb369", "#6c8ebf"]


def canvas(width: float, height: float) -> Axes:
    axes = plt.figure(figsize=(width, height), layout="constrained").gca()
    axes.set_aspect("equal")
    axes.axis("off")
    return axes


def cell(
    axes: Axes, x: float, y: float, text: str = "", color: str = "white", size: float = 8, side: float = 1
) -> None:
    axes.add_patch(Rectangle((x, y), side, 1, facecolor=color, edgecolor=INK, linewidth=0.6))
    axes.text(x + side / 2, y + 0.5, text, ha="center", va="center", fontsize=size, color=INK)


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], curve: float = 0, color: str = GREY
) -> None:
    style = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=8, color=color, linewidth=0.8, connectionstyle=f"arc3,rad={curve}"
    )
    axes.add_patch(style)


def note(axes: Axes, x: float, y: float, text: str, size: float = 9, align: str = "left") -> None:
    axes.text(x, y, text, ha=align, va="center", fontsize=size, color=INK)


def save(axes: Axes, name: str) -> None:
    axes.autoscale_view()
    path = FOLDER / f"{name}.svg"
    axes.figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.1, facecolor="white")
    plt.close(axes.figure)


def register_table() -> None:
    """Five inputs, their 16 signed sums in a register, and weight bits as indices into it."""
    axes = canvas(9, 3.6)
    note(axes, -2, 9.6, "five inputs of one pixel")
    for i in range(5):
        cell(axes, 1.6 * i + 9, 9.1, f"$x_{i}$", PLUS, 9, 1.6)
    note(axes, -2, 7.1, "their 16 signed sums,\nonce a pixel: one register")
    for entry in range(16):
        cell(axes, 1.6 * entry + 9, 6.6, f"{entry:04b}", LIGHT, 6.5, 1.6)
    note(axes, 35.2, 7.1, r"entry 0101:  $x_0 + x_1 - x_2 + x_3 - x_4$", 8)
    arrow(axes, (13, 9.0), (13, 7.7))
    indices = [5, 12, 4, 0, 9, 15, 3, 8, 14, 5, 7, 1, 10, 6, 2, 11]
    note(axes, -2, 3.1, "weight bits of 16 output\nchannels: index and sign")
    for lane, index in enumerate(indices):
        cell(axes, 1.6 * lane + 9, 2.6, f"{index:04b}", MINUS if lane % 3 == 0 else PLUS, 6.5, 1.6)
        shown = lane in (1, 6, 9, 14)
        arrow(axes, (1.6 * index + 9.8, 6.55), (1.6 * lane + 9.8, 3.65), 0, INK if shown else "#dddddd")
    note(axes, 35.2, 5.1, "one permutation", 8)
    note(axes, 35.2, 3.1, "blue: +, orange: −", 8)
    note(axes, -2, 0.6, "sums of the 16 channels")
    for lane in range(16):
        cell(axes, 1.6 * lane + 9, 0.1, "−=" if lane % 3 == 0 else "+=", "white", 8, 1.6)
        arrow(axes, (1.6 * lane + 9.8, 2.55), (1.6 * lane + 9.8, 1.15))
    note(axes, 35.2, 1.85, "one multiply-add with ±1", 8)
    axes.plot([-2, 48], [-0.2, 10.3], alpha=0)
    save(axes, "register-table")


def byte_table() -> None:
    """The tables of four groups of four inputs in one register, and four sums of each output channel side by side."""
    axes = canvas(9, 3.6)
    side, left = 0.4, 9.0
    groups = [PLUS, *PHASES[:3]]
    note(axes, -2, 9.6, "16 inputs of one pixel,\nin four groups")
    for i in range(16):
        cell(axes, left + 1.6 * i, 9.1, f"$x_{{{i}}}$", groups[i // 4], 8, 1.6)
    note(axes, -2, 7.1, "16 sums of each, of 8 bits:\none register")
    for entry in range(64):
        cell(axes, left + side * entry, 6.6, "", groups[entry // 16], 6, side)
    for group in range(4):
        arrow(axes, (left + 6.4 * group + 3.2, 9.0), (left + 6.4 * group + 3.2, 7.7))
    note(axes, 35.2, 7.1, r"orange, entry 0101:  $x_4 - x_5 + x_6 - x_7$", 8)
    note(axes, -2, 4.1, "what four indices of each of\n16 output channels find")
    indices = [[5, 12, 4, 9], [3, 5, 14, 0]]
    for channel in range(16):
        for group in range(4):
            x = left + 1.6 * channel + side * group
            cell(axes, x, 3.6, "", groups[group], 6, side)
            if channel in (1, 10):
                entry = 16 * group + indices[channel == 10][group]
                arrow(axes, (left + side * (entry + 0.5), 6.55), (x + side / 2, 4.65), 0, INK if channel == 1 else GREY)
    note(axes, 35.2, 5.6, "one permutation of bytes", 8)
    note(axes, -2, 1.1, "sums of the 16 channels,\nof 32 bits")
    for channel in range(16):
        x = left + 1.6 * channel
        cell(axes, x, 0.6, "+=", "white", 7, 1.6)
        arrow(axes, (x + 0.8, 3.55), (x + 0.8, 1.65))
    note(axes, 35.2, 2.6, "one dot product with ones", 8)
    axes.plot([-2, 48], [0.3, 10.3], alpha=0)
    save(axes, "byte-table")


def memory_table() -> None:
    """Four inputs, tables for a tile of pixels in the first cache; lanes are pixels."""
    axes = canvas(9, 3.6)
    pixels = 12
    note(axes, -2, 10.5, "four inputs of each pixel\nof a tile")
    for i in range(4):
        for p in range(pixels):
            axes.add_patch(Rectangle((p + 9, 11.6 - 0.7 * i), 1, 0.7, facecolor=PLUS, edgecolor=INK, linewidth=0.6))
    note(axes, 21.6, 10.7, r"$x_0 \ldots x_3$", 9)
    note(axes, -2, 5.2, "16 signed sums of each:\na table in the first cache")
    for entry in range(16):
        for p in range(pixels):
            axes.add_patch(
                Rectangle(
                    (p + 9, 7.6 - 0.36 * entry),
                    1,
                    0.36,
                    facecolor=PHASES[0] if entry == 6 else LIGHT,
                    edgecolor=GREY,
                    linewidth=0.3,
                )
            )
    note(axes, 21.6, 5.5, "row 0110", 8)
    arrow(axes, (15, 8.9), (15, 8.1))
    note(axes, 30, 10.5, "four weight bits of an output channel: 0110")
    arrow(axes, (33, 10.0), (24.8, 5.7), -0.2)
    note(axes, -2, 0.5, "sums of one output channel")
    for p in range(pixels):
        cell(axes, p + 9, 0, "+=", "white", 7)
    arrow(axes, (15, 2.1), (15, 1.1))
    note(axes, 21.6, 0.5, "one load and one addition: 4 multiply-adds for each pixel", 8)
    axes.plot([-2, 44], [-0.3, 12.6], alpha=0)
    save(axes, "memory-table")


def phases() -> None:
    """A transposed convolution of stride 2 as four small convolutions."""
    axes = canvas(9, 3.2)
    note(axes, 0, 9.2, "5x5 kernel, stride 2")
    for i in range(5):
        for j in range(5):
            cell(axes, j, 3 + i, "", PHASES[i % 2 * 2 + j % 2])
    note(axes, 9, 9.2, "four kernels: 3x3, 3x2, 2x3, 2x2")
    for phase in range(4):
        rows, columns = 3 - phase // 2, 3 - phase % 2
        left, top = 9 + phase % 2 * 4.5, 5 - phase // 2 * 4
        for i in range(rows):
            for j in range(columns):
                cell(axes, left + j, top + i, "", PHASES[phase])
    note(axes, 21, 9.2, "each writes its own output pixels, once")
    for i in range(8):
        for j in range(8):
            cell(axes, 21 + j, 0.3 + i, "", PHASES[i % 2 * 2 + j % 2])
    arrow(axes, (5.6, 5.5), (8.4, 5.5))
    arrow(axes, (17.4, 4.5), (20.4, 4.5))
    axes.plot([0, 36], [-0.3, 9.8], alpha=0)
    save(axes, "phases")


def rows() -> None:
    """Few output channels: each input row under an output pixel is one long dot product."""
    axes = canvas(9, 3.6)
    channels, pixels, taps = 4, 6, (1, 4)
    note(axes, 0, 11, "input rows, the channels innermost")
    for row in range(3):
        y = 8.6 - 1.8 * row
        for number in range(pixels * channels):
            met = taps[0] * channels <= number < taps[1] * channels
            axes.add_patch(
                Rectangle((0.6 * number, y), 0.6, 1, facecolor=PLUS if met else "white", edgecolor=GREY, linewidth=0.4)
            )
        for pixel in range(pixels):
            axes.add_patch(
                Rectangle(
                    (0.6 * channels * pixel, y), 0.6 * channels, 1, facecolor="none", edgecolor=INK, linewidth=0.8
                )
            )
    note(axes, 17.6, 11, "for each colour as many weights")
    for row in range(3):
        y = 8.6 - 1.8 * row
        note(axes, 15.4, y + 0.5, "×", 12)
        for colour in range(3):
            for number in range((taps[1] - taps[0]) * channels):
                axes.add_patch(
                    Rectangle(
                        (17.6 + 0.6 * number, y + 0.667 - 0.333 * colour),
                        0.6,
                        0.333,
                        facecolor=COLOURS[colour],
                        edgecolor="white",
                        linewidth=0.4,
                    )
                )
    note(axes, 0, 2.8, "vectors of partial sums,\nof five pixels and three colours")
    for vector in range(15):
        colour = COLOURS[vector % 3]
        for lane in range(8):
            x = 14 + 0.8 * vector
            axes.add_patch(
                Rectangle((x, 1.6 + 0.3 * lane), 0.7, 0.3, facecolor=colour, edgecolor="white", linewidth=0.4)
            )
    note(axes, 0, 0.4, "their lanes, added up together")
    for vector in range(15):
        axes.add_patch(
            Rectangle(
                (14 + 0.8 * vector, 0),
                0.7,
                0.8,
                facecolor=COLOURS[vector % 3],
                edgecolor=INK,
                linewidth=0.6,
            )
        )
    arrow(axes, (20, 1.55), (20, 0.85))
    axes.plot([0, 27], [-0.3, 11.5], alpha=0)
    save(axes, "dot-rows")


if __name__ == "__main__":
    for draw in (register_table, byte_table, memory_table, phases, rows):
        draw()
