// A picture to begin with: evening over hills, drawn here.

import { element } from "./dom.js";

/** A canvas of 240 x 160 pixels. */
export function scene() {
  const canvas = element("canvas", { width: 240, height: 160 });
  const context = canvas.getContext("2d");
  const sky = context.createLinearGradient(0, 0, 0, 120);
  [
    [0, "#233a6b"],
    [0.55, "#c9788a"],
    [1, "#ffd9a0"],
  ].forEach(([at, colour]) => sky.addColorStop(at, colour));
  context.fillStyle = sky;
  context.fillRect(0, 0, 240, 160);
  context.fillStyle = "#fff3d6";
  context.beginPath();
  context.arc(168, 84, 17, 0, 7);
  context.fill();
  [
    ["#7a5a84", 96, 14, 41, 1],
    ["#4c4b78", 112, 12, 29, 4],
    ["#232f52", 130, 9, 37, 2],
  ].forEach(hill, context);
  context.strokeStyle = context.fillStyle = "#141b33";
  for (let i = 0; i < 9; ++i) tree(context, 14 + i * 27 + ((i * 37) % 11), 146 + ((i * 13) % 9), 18 + ((i * 7) % 13));
  return canvas;
}

function hill([colour, level, height, length, phase]) {
  this.fillStyle = colour;
  this.beginPath();
  this.moveTo(0, 160);
  for (let x = 0; x <= 240; x += 2)
    this.lineTo(x, level - height * Math.sin(x / length + phase) * Math.cos(x / 90 + phase));
  this.lineTo(240, 160);
  this.fill();
}

function tree(context, x, y, height) {
  for (let i = 0; i < 4; ++i) {
    const [top, half] = [y - height + (i * height) / 5, (2 + i) * (height / 14)];
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x + half, top + height / 2.6);
    context.lineTo(x - half, top + height / 2.6);
    context.fill();
  }
  context.fillRect(x - 1, y - 3, 2, 8);
}
