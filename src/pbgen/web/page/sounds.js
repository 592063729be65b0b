// A sound in, a sound out: chosen, dropped or recorded; both as spectrograms, to be played.

import { block, button, choice, element, labelled, latest, save } from "./dom.js";
import { chooser } from "./files.js";
import { geometry, largest } from "./sizes.js";
import { channelsOf, paintSpectrogram, player, spectrogramCanvas, wav } from "./sound.js";

const RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000];
const USUAL = 22050;
const LONGEST = 20; // seconds

/** Builds the page's live part in `root`. */
export async function sounds(root, session, config) {
  const page = new Sounds(root, session, config, await geometry(session.engine));
  await page.show();
}

class Sounds {
  #session;
  #parts;
  #margin; // samples that the network leaves out at each end
  #name;
  #source = null; // the file, to be read again at another rate
  #recorder = null;
  #before = { channels: null, rate: USUAL };
  #after = { channels: null, rate: USUAL };
  show = latest(() => this.#make());

  constructor(root, session, config, axes) {
    this.#session = session;
    this.#name = config.name;
    this.#margin = axes[1].margin;
    const parts = (this.#parts = controls(root, this.#before, this.#after, (file) => this.#open(file)));
    parts.record.onclick = () => this.#record();
    parts.rate.onchange = () => this.show();
    parts.save.onclick = () => save(wav(this.#after.channels, this.#after.rate), `${this.#name}-after.wav`);
    session.addEventListener("change", () => this.show());
  }

  async #make() {
    const rate = Number(this.#parts.rate.value);
    const { engine } = this.#session;
    const samples = await samplesOf(this.#source, engine.inputShape[0], rate);
    const wanted = [samples.length, Math.min(samples[0].length, LONGEST * rate)];
    const [, length] = await largest(engine, wanted, [0, this.#margin], 4096);
    const given = samples.map((channel) => resized(channel, length));
    const made = channelsOf(await this.#session.run([tensorOf(given, this.#margin)]), 0);
    Object.assign(this.#before, { channels: given, rate });
    Object.assign(this.#after, { channels: made, rate: Math.round((rate * made[0].length) / length) });
    paintSpectrogram(this.#parts.before, given[0]);
    paintSpectrogram(this.#parts.after, made[0]);
    const rates = [...new Set([rate, this.#after.rate])].join(" to ");
    this.#parts.told.textContent = `${(length / rate).toFixed(1)} s, ${rates} samples a second`;
  }

  async #open(file) {
    this.#source = file;
    this.#name = file.name?.replace(/\.\w+$/, "") || this.#name;
    await this.show();
  }

  async #record() {
    if (this.#recorder) return this.#recorder.stop();
    const stream = await navigator.mediaDevices?.getUserMedia({ audio: true }).catch(() => null);
    if (!stream) throw new Error("the microphone: this browser lends none to this page");
    this.#recorder = new MediaRecorder(stream);
    this.#parts.record.setAttribute("aria-pressed", "true");
    this.#recorder.ondataavailable = ({ data }) => {
      for (const track of stream.getTracks()) track.stop();
      this.#recorder = null;
      this.#parts.record.setAttribute("aria-pressed", "false");
      this.#source = data;
      return this.show();
    };
    this.#recorder.start();
  }
}

function controls(root, before, after, open) {
  const parts = {
    before: spectrogramCanvas("Spectrogram before"),
    after: spectrogramCanvas("Spectrogram after"),
    record: button("Record", "r", null, { "aria-pressed": "false" }),
    save: button("Save", "s"),
    rate: choice("rate", RATES, (rate) => `${rate} Hz`, USUAL),
    told: element("output", { className: "told" }),
  };
  const choose = chooser("Choose a sound", "o", "audio", open);
  const shown = (words, canvas, sound, key) =>
    block(
      "sound",
      canvas,
      player(() => sound, `Play ${words}`, key),
    );
  root.append(
    block("bar", ...choose, parts.record, parts.save, block("gap"), ...labelled("samples a second", parts.rate)),
    shown("before", parts.before, before, "b"),
    shown("after", parts.after, after, "a"),
    element("p", { className: "note" }, "Or drop one anywhere. It never leaves this device. ", parts.told),
  );
  return parts;
}

// Of this length; what is missing is silent.
function resized(channel, length) {
  const samples = new Float32Array(length);
  samples.set(channel.subarray(0, length));
  return samples;
}

// With a silent margin.
function tensorOf(channels, margin) {
  const length = channels[0].length + 2 * margin;
  const data = new Float32Array(channels.length * length);
  channels.forEach((channel, c) => data.set(channel, c * length + margin));
  return { data, shape: [1, channels.length, length] };
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
