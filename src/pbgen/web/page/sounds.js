// A sound in, a sound out: chosen, dropped or recorded; both as spectrograms, to be played.

import { button, element, latest, save } from "./dom.js";
import { chooser } from "./files.js";
import { geometry, largest } from "./sizes.js";
import { channelsOf, paintSpectrogram, player, spectrogramCanvas, wav } from "./sound.js";

const RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000];
const USUAL = 22050;
const LONGEST = 20; // seconds

/** Builds the page's live part in `root`. */
export async function sounds(root, session, config) {
  const before = { channels: null, rate: USUAL };
  const after = { channels: null, rate: USUAL };
  const parts = build(root, before, after);
  const axes = await geometry(session.engine);
  const margins = axes.map(({ margin }) => margin);
  let source = null; // the file, to be read again at another rate
  let name = config.name;
  let recorder = null;

  const show = latest(async () => {
    const rate = Number(parts.rate.value);
    const whole = await samplesOf(source, session.engine.inputShape[0], rate);
    const [channels, length] = await largest(
      session.engine,
      [0, Math.min(whole[0].length, LONGEST * rate)],
      margins,
      4096,
    );
    const padded = length + 2 * margins[1];
    const data = new Float32Array(channels * padded);
    before.channels = whole.map((channel) => channel.subarray(0, length));
    before.channels.forEach((channel, c) => data.set(channel, c * padded + margins[1]));
    const made = await session.run([{ data, shape: [1, channels, padded] }]);
    after.channels = channelsOf(made, 0);
    before.rate = rate;
    after.rate = Math.round((rate * after.channels[0].length) / length);
    paintSpectrogram(parts.before, before.channels[0]);
    paintSpectrogram(parts.after, after.channels[0]);
    parts.told.textContent = `${(length / rate).toFixed(1)} s, ${rate} to ${after.rate} samples a second`;
  });

  async function record() {
    if (recorder) return recorder.stop();
    const stream = await navigator.mediaDevices?.getUserMedia({ audio: true }).catch(() => null);
    if (!stream) throw new Error("the microphone: this browser lends none to this page");
    recorder = new MediaRecorder(stream);
    parts.record.setAttribute("aria-pressed", "true");
    recorder.ondataavailable = ({ data }) => {
      for (const track of stream.getTracks()) track.stop();
      recorder = null;
      parts.record.setAttribute("aria-pressed", "false");
      source = data;
      show();
    };
    recorder.start();
  }

  parts.open = (file) => {
    source = file;
    name = file.name?.replace(/\.\w+$/, "") || config.name;
    show();
  };
  parts.record.onclick = record;
  parts.rate.onchange = () => show();
  parts.save.onclick = () => save(wav(after.channels, after.rate), `${name}-after.wav`);
  session.addEventListener("change", () => show());
  await show();
}

function build(root, before, after) {
  const parts = {
    before: spectrogramCanvas("Spectrogram before"),
    after: spectrogramCanvas("Spectrogram after"),
    record: button("Record", "r", null, { "aria-pressed": "false" }),
    save: button("Save", "s"),
    rate: element(
      "select",
      { id: "rate" },
      ...RATES.map((rate) => new Option(`${rate} Hz`, rate, rate === USUAL, rate === USUAL)),
    ),
    told: element("output", { className: "told" }),
  };
  const choose = chooser("Choose a sound", "o", "audio", (file) => parts.open?.(file));
  const block = (words, canvas, sound, key) =>
    element(
      "figure",
      { className: "sound" },
      canvas,
      element(
        "figcaption",
        {},
        player(() => sound, `Play ${words}`, key),
      ),
    );
  root.append(
    element(
      "div",
      { className: "bar" },
      ...choose,
      parts.record,
      parts.save,
      element("span", { className: "gap" }),
      element("label", { for: "rate" }, "samples a second"),
      parts.rate,
    ),
    block("before", parts.before, before, "b"),
    block("after", parts.after, after, "a"),
    element("p", { className: "note" }, "Or drop one anywhere. It never leaves this device. ", parts.told),
  );
  return parts;
}

// Without a source, some notes to begin with.
async function samplesOf(source, channels, rate) {
  const context = new OfflineAudioContext(channels, 1, rate);
  const buffer = source
    ? await context.decodeAudioData(await source.arrayBuffer()).catch(() => {
        throw new Error(`${source.name ?? "the recording"}: is no sound that this browser can read`);
      })
    : notes(context, channels, rate);
  const found = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  if (channels === 1 && found.length > 1) {
    return [found[0].map((_, i) => found.reduce((sum, channel) => sum + channel[i], 0) / found.length)];
  }
  return Array.from({ length: channels }, (_, c) => found[c] ?? found[0]);
}

function notes(context, channels, rate) {
  const buffer = context.createBuffer(channels, 3 * rate, rate);
  for (let c = 0; c < channels; ++c) {
    const samples = buffer.getChannelData(c);
    [220, 277.18, 329.63, 440, 554.37, 659.26].forEach((pitch, i) => {
      for (let at = 0, first = Math.floor(i * 0.4 * rate); first + at < samples.length; ++at) {
        const t = at / rate;
        const tone = Math.sin(2 * Math.PI * pitch * t) + 0.4 * Math.sin(4 * Math.PI * pitch * t);
        samples[first + at] += 0.15 * tone * Math.exp(-3 * t) * Math.min(1, t * 100);
      }
    });
  }
  return buffer;
}
