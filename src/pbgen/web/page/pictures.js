// A picture in, a picture out: chosen, dropped or from the camera; before and after with a divider.

import { cover, crop, dimensions, withMargin } from "./canvases.js";
import { compare } from "./compare.js";
import { element, latest, save } from "./dom.js";
import { paint, pixelsOf, png } from "./pixels.js";
import { scene } from "./scene.js";
import { geometry, largest } from "./sizes.js";

const LONGEST = [128, 256, 512, 1024, 2048]; // pixels that a picture is reduced to
const FIRST = 256; // until it is known how fast this device is
const USUAL = 1024; // at most, unless a reader wants more
const LIVE = 512; // at most, of the camera's
const PATIENCE = 4000; // milliseconds that one may wait for a picture, and for one of the camera's
const GLANCE = 250;
const TILED = 2 ** 16; // pixels from which on it is made in tiles, so that one sees how far it is
const TILE = 256;

/** Builds the page's live part in `root`. */
export async function pictures(root, session, config) {
  const page = new Pictures(root, session, config, await geometry(session.engine));
  await page.begin();
}

class Pictures {
  #session;
  #range;
  #parts;
  #axes;
  #margins;
  #picture = scene(); // what is shown: a canvas, an ImageBitmap or a video
  #name;
  #stream = null; // of the camera
  #speed = 0; // pixels of the input in a millisecond, of the latest picture
  #show = latest(() => this.#make());

  constructor(root, session, config, axes) {
    this.#session = session;
    this.#range = config.range;
    this.#name = config.name;
    this.#axes = axes;
    this.#margins = axes.map(({ margin }) => margin);
    const sizes = session.engine.inputShape.includes(null) ? LONGEST : [];
    const parts = (this.#parts = compare(root, sizes, FIRST, (file) => this.#open(file)));
    parts.camera.onclick = () => this.#camera();
    parts.longest.onchange = () => this.#show();
    parts.save.onclick = async () => save(await png(parts.after, 1), `${this.#name}-after.png`);
    session.addEventListener("change", () => this.#stream || this.#show());
  }

  async begin() {
    await this.#show();
    this.#parts.longest.value = Math.min(USUAL, this.#affordable(PATIENCE));
  }

  // The longest side that a picture may have to be made in so long.
  #affordable(time) {
    return LONGEST.findLast((side) => 0.75 * side * side <= this.#speed * time) ?? LONGEST[0];
  }

  async #make() {
    const { before, after, frame, told } = this.#parts;
    const [channels, height, width] = await this.#shape();
    cover(before, this.#picture, width, height);
    if (!this.#stream) cover(after, before, width, height); // until it is made
    frame.style.setProperty("--ratio", width / height);
    told.textContent = "";
    const begun = performance.now();
    const output = await this.#run(pixelsOf(withMargin(before, this.#margins), channels, this.#range));
    this.#speed = (height * width) / (performance.now() - begun);
    paint(after, output, 0, this.#range);
    crop(after, Math.round(this.#axes[1].scale * height), Math.round(this.#axes[2].scale * width), this.#margins);
    told.textContent = `${width} × ${height} to ${after.width} × ${after.height} pixels`;
  }

  // Of the input, without margins.
  #shape() {
    const { width, height } = dimensions(this.#picture);
    const side = this.#stream ? Math.min(LIVE, this.#affordable(GLANCE)) : Number(this.#parts.longest.value);
    const factor = Math.min(1, side / Math.max(width, height));
    const { engine } = this.#session;
    const wanted = [engine.inputShape[0], Math.round(height * factor), Math.round(width * factor)];
    return largest(engine, wanted, this.#margins, 64);
  }

  async #run(input) {
    const [, , height, width] = input.shape;
    const { frame, progress } = this.#parts;
    frame.setAttribute("aria-busy", !this.#stream);
    try {
      return await (this.#stream || height * width < TILED ? this.#session.run([input]) : this.#tiled(input));
    } finally {
      frame.setAttribute("aria-busy", false);
      progress.removeAttribute("value");
    }
  }

  // What is not local, or of a fixed size, cannot be made in tiles.
  #tiled(input) {
    const onProgress = (value, max) => Object.assign(this.#parts.progress, { max, value });
    return this.#session.tiled([input], { tile: TILE, onProgress }).catch(() => this.#session.run([input]));
  }

  async #open(file) {
    this.#stop();
    this.#picture = await createImageBitmap(file).catch(() => {
      throw new Error(`${file.name}: is no picture that this browser can read`);
    });
    this.#name = file.name?.replace(/\.\w+$/, "") || this.#name;
    await this.#show();
  }

  async #camera() {
    if (this.#stream) return this.#stop();
    const wanted = { video: { facingMode: "environment" } };
    this.#stream = await navigator.mediaDevices?.getUserMedia(wanted).catch(() => null);
    if (!this.#stream) throw new Error("the camera: this browser lends none to this page");
    const video = element("video", { srcObject: this.#stream, muted: true, playsInline: true });
    await video.play();
    this.#picture = video;
    this.#parts.camera.setAttribute("aria-pressed", "true");
    while (this.#stream) {
      await this.#show();
      await new Promise(requestAnimationFrame);
    }
  }

  // The last frame stays.
  #stop() {
    if (!this.#stream) return;
    const { width, height } = dimensions(this.#picture);
    const still = element("canvas");
    cover(still, this.#picture, width, height);
    this.#picture = still;
    for (const track of this.#stream.getTracks()) track.stop();
    this.#stream = null;
    this.#parts.camera.setAttribute("aria-pressed", "false");
  }
}
