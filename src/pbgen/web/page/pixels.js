// Values and pixels: `range` says what the generator has for black and for white.

/** Paints picture number i of a tensor (N, C, H, W) on a canvas, which takes its size. */
export function paint(canvas, { data, shape }, i, { low, high }) {
  const [, channels, height, width] = shape;
  const plane = height * width;
  const pixels = new ImageData(width, height);
  const values = data.subarray(i * channels * plane, (i + 1) * channels * plane);
  const scale = 255 / (high - low);
  for (let c = 0; c < 3; ++c) {
    const from = channels === 3 ? c * plane : 0;
    for (let p = 0; p < plane; ++p) pixels.data[4 * p + c] = (values[from + p] - low) * scale; // clamped and rounded
  }
  for (let p = 0; p < plane; ++p) pixels.data[4 * p + 3] = 255;
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A canvas' picture as a tensor (1, C, H, W). */
export function pixelsOf(canvas, channels, { low, high }) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
  const plane = width * height;
  const values = new Float32Array(channels * plane);
  const scale = (high - low) / 255;
  for (let p = 0; p < plane; ++p) {
    const [r, g, b] = [data[4 * p], data[4 * p + 1], data[4 * p + 2]];
    const own = channels === 3 ? [r, g, b] : [Math.round(0.299 * r + 0.587 * g + 0.114 * b)];
    own.forEach((value, c) => (values[c * plane + p] = low + value * scale));
  }
  return { data: values, shape: [1, channels, height, width] };
}

/** A canvas' picture as a PNG, small ones larger, each pixel a square. */
export function png(canvas, smallest = 512) {
  const scale = Math.max(1, Math.ceil(smallest / Math.max(canvas.width, canvas.height)));
  const large = document.createElement("canvas");
  Object.assign(large, { width: canvas.width * scale, height: canvas.height * scale });
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return new Promise((resolve) => large.toBlob(resolve, "image/png"));
}
