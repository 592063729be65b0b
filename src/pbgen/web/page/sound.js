// Sounds: to be heard, seen and saved.

import { button, shown } from "./dom.js";

const WINDOW = 512;
const [QUIETEST, LOUDEST] = [-90, -10]; // decibels, from nothing to white
const RAMP = [
  [0, 0, 4],
  [51, 18, 98],
  [136, 34, 106],
  [211, 67, 64],
  [246, 145, 32],
  [252, 255, 164],
]; // as matplotlib's inferno

/** The samples of sound number i of a tensor (N, C, L) or (N, L): a Float32Array a channel. */
export function channelsOf({ data, shape }, i) {
  const length = shape.at(-1);
  const count = shape.length === 3 ? shape[1] : 1;
  return Array.from({ length: count }, (_, c) => data.subarray((i * count + c) * length, (i * count + c + 1) * length));
}

/** Paints the spectrogram of some samples: time to the right, low tones below, decibels as brightness. */
export function paintSpectrogram(canvas, samples, width = 480) {
  const [bins, columns] = [WINDOW / 2, Math.max(1, Math.min(width, Math.floor(samples.length / 32)))];
  const pixels = new ImageData(columns, bins);
  const hann = Float64Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  for (let x = 0; x < columns; ++x) {
    const first = Math.round(((samples.length - WINDOW) * x) / Math.max(1, columns - 1));
    const real = hann.map((weight, i) => weight * (samples[first + i] ?? 0));
    const power = powers(real);
    for (let y = 0; y < bins; ++y) {
      const decibels = 10 * Math.log10(power[y] / (WINDOW * WINDOW) + 1e-12) + 12;
      const colour = ramp((decibels - QUIETEST) / (LOUDEST - QUIETEST));
      pixels.data.set([...colour, 255], 4 * ((bins - 1 - y) * columns + x));
    }
  }
  Object.assign(canvas, { width: columns, height: bins });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A button that plays what `samples()` gives, { channels, rate }, and stops it. */
export function player(samples, words, key) {
  let playing = null;
  const stop = () => {
    playing?.stop();
    playing = null;
    made.setAttribute("aria-pressed", "false");
  };
  const play = () => {
    const { channels, rate } = samples();
    if (!channels?.[0]?.length) return;
    const context = (player.context ??= new AudioContext());
    context.resume();
    const buffer = context.createBuffer(channels.length, channels[0].length, rate);
    channels.forEach((channel, c) => buffer.copyToChannel(Float32Array.from(channel), c));
    playing = Object.assign(context.createBufferSource(), { buffer, onended: stop });
    playing.connect(context.destination);
    playing.start();
    made.setAttribute("aria-pressed", "true");
  };
  const made = button(words, key, () => (playing ? stop() : play()), { "aria-pressed": "false", className: "play" });
  return made;
}

/** A WAV file of 16 bits. */
export function wav(channels, rate) {
  const [count, length] = [channels.length, channels[0].length];
  const file = new DataView(new ArrayBuffer(44 + 2 * count * length));
  const text = (at, letters) => [...letters].forEach((letter, i) => file.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  file.setUint32(4, 36 + 2 * count * length, true);
  text(8, "WAVEfmt ");
  [
    [16, 16],
    [24, rate],
    [28, rate * 2 * count],
    [40, 2 * count * length],
  ].forEach(([at, value]) => file.setUint32(at, value, true));
  [
    [20, 1],
    [22, count],
    [32, 2 * count],
    [34, 16],
  ].forEach(([at, value]) => file.setUint16(at, value, true));
  text(36, "data");
  for (let i = 0; i < length; ++i) {
    channels.forEach((channel, c) => {
      const value = Math.round(32767 * Math.min(1, Math.max(-1, channel[i])));
      file.setInt16(44 + 2 * (i * count + c), value, true);
    });
  }
  return new Blob([file], { type: "audio/wav" });
}

/** A canvas that shows a sound. */
export function spectrogramCanvas(label) {
  return Object.assign(shown(label), { className: "spectrogram" });
}

function ramp(level) {
  const at = Math.min(0.9999, Math.max(0, level)) * (RAMP.length - 1);
  const [i, t] = [Math.floor(at), at % 1];
  return RAMP[i].map((value, c) => value + t * (RAMP[i + 1][c] - value));
}

// |FFT|^2 of real numbers, as many as a power of two; the lower half.
function powers(real) {
  const n = real.length;
  const imaginary = new Float64Array(n);
  for (let i = 1, j = 0; i < n; ++i) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let half = 1; half < n; half *= 2) {
    for (let i = 0; i < n; i += 2 * half) {
      for (let k = 0; k < half; ++k) {
        const angle = (-Math.PI * k) / half;
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        const [a, b] = [i + k, i + k + half];
        const [x, y] = [real[b] * c - imaginary[b] * s, real[b] * s + imaginary[b] * c];
        [real[b], imaginary[b]] = [real[a] - x, imaginary[a] - y];
        [real[a], imaginary[a]] = [real[a] + x, imaginary[a] + y];
      }
    }
  }
  return real.subarray(0, n / 2).map((value, i) => value * value + imaginary[i] * imaginary[i]);
}
