// Pictures on canvases: of a size, with a margin, and without it again.

import { element } from "./dom.js";

/** The size of a canvas, a picture, or a video. */
export function dimensions(picture) {
  return { width: picture.videoWidth ?? picture.width, height: picture.videoHeight ?? picture.height };
}

/** The middle of a picture, on white, of just this size. */
export function cover(canvas, picture, width, height) {
  const own = dimensions(picture);
  const factor = Math.max(width / own.width, height / own.height);
  const [w, h] = [own.width * factor, own.height * factor];
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
}

/** A canvas with a margin in which the picture's edge goes on. */
export function withMargin(canvas, [, down, right]) {
  if (!down && !right) return canvas;
  const { width, height } = canvas;
  const whole = element("canvas", { width: width + 2 * right, height: height + 2 * down });
  const context = whole.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  const columns = [
    [0, 1, 0, right],
    [0, width, right, width],
    [width - 1, 1, right + width, right],
  ];
  const rows = [
    [0, 1, 0, down],
    [0, height, down, height],
    [height - 1, 1, down + height, down],
  ];
  for (const [x, w, toX, toW] of columns) {
    for (const [y, h, toY, toH] of rows) if (toW && toH) context.drawImage(canvas, x, y, w, h, toX, toY, toW, toH);
  }
  return whole;
}

/** Leaves out what the margin made: the canvas' middle of this size stays. */
export function crop(canvas, height, width, [, down, right]) {
  if (!(down || right) || (canvas.width === width && canvas.height === height)) return;
  const context = canvas.getContext("2d");
  const [x, y] = [Math.floor((canvas.width - width) / 2), Math.floor((canvas.height - height) / 2)];
  const kept = context.getImageData(x, y, width, height);
  Object.assign(canvas, { width, height });
  context.putImageData(kept, 0, 0);
}
