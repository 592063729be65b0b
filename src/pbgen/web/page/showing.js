// How an output is shown: a picture as it is, a sound as its spectrogram, to be played.

import { element, shown } from "./dom.js";
import { paint, png } from "./pixels.js";
import { channelsOf, paintSpectrogram, player, spectrogramCanvas, wav } from "./sound.js";

const RATE = 22050; // samples a second, where nothing says how many
const COARSE = 8; // pixels along an edge, or bands and times of a sound

/**
 * How an output of `shape`, without the batch, is shown: `canvas(label)` makes an empty one, `paint(canvas, tensor, i)`
 * shows number i, `coarse(tensor, i)` is it in few numbers, `file(canvas)` what was last painted as a file that ends in
 * `ending`; `controls` come with it.
 */
export function showing(shape, range) {
  return shape.length === 3 ? picture(range) : sound();
}

function picture(range) {
  const small = element("canvas", { width: COARSE, height: COARSE });
  const scratch = element("canvas");
  return {
    canvas: shown,
    paint: (where, tensor, i) => paint(where, tensor, i, range),
    coarse(tensor, i) {
      paint(scratch, tensor, i, range);
      return coarse(small, scratch);
    },
    file: png,
    ending: ".png",
    controls: [],
  };
}

function sound() {
  const played = new WeakMap();
  let last;
  const play = player(() => ({ channels: played.get(last), rate: RATE }), "Play", "p");
  const small = element("canvas", { width: COARSE, height: COARSE });
  const scratch = element("canvas");
  return {
    canvas: spectrogramCanvas,
    paint(where, tensor, i) {
      const channels = channelsOf(tensor, i);
      paintSpectrogram(where, channels[0], where.closest(".frame") ? 480 : 96);
      played.set(where, channels);
      if (where.closest(".frame")) last = where;
    },
    coarse(tensor, i) {
      paintSpectrogram(scratch, channelsOf(tensor, i)[0], 64);
      return coarse(small, scratch);
    },
    file: async (where) => wav(played.get(where), RATE),
    ending: ".wav",
    controls: [play],
  };
}

function coarse(small, canvas) {
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0, COARSE, COARSE);
  return Float32Array.from(context.getImageData(0, 0, COARSE, COARSE).data.filter((_, i) => i % 4 !== 3));
}
