// A picture in, a picture out: chosen, dropped or from the camera; before and after with a divider.

import { button, element, latest, save } from "./dom.js";
import { chooser } from "./files.js";
import { paint, pixelsOf, png } from "./pixels.js";
import { scene } from "./scene.js";
import { geometry, largest } from "./sizes.js";

const LONGEST = [128, 256, 512, 1024, 2048]; // pixels that a picture is reduced to
const FIRST = 256; // until it is known how fast this device is
const PATIENCE = 4000; // milliseconds that a reader may wait for a picture at first
const LIVE = 250; // the same for one of the camera's
const LARGEST_LIVE = 512;
const TILED = 2 ** 16; // pixels from which on it is made in tiles, so that one sees how far it is
const TILE = 256;

/** Builds the page's live part in `root`. */
export async function pictures(root, session, config) {
  const parts = build(root, session.engine, config);
  const axes = await geometry(session.engine);
  const margins = axes.map(({ margin }) => margin);
  const [channels] = session.engine.inputShape;
  let picture = scene(); // what is shown: a canvas, an ImageBitmap or a video
  let name = config.name;
  let stream = null;
  let speed = 0; // pixels of the input in a millisecond, of the latest picture

  // The longest side that a picture may have to be made in so long.
  const affordable = (time) => LONGEST.findLast((side) => 0.75 * side * side <= speed * time) ?? LONGEST[0];

  async function make() {
    const { width, height } = dimensions(picture);
    const side = stream ? Math.min(LARGEST_LIVE, affordable(LIVE)) : Number(parts.longest.value);
    const factor = Math.min(1, side / Math.max(width, height));
    const wanted = [channels, Math.round(height * factor), Math.round(width * factor)];
    const shape = await largest(session.engine, wanted, margins, 64);
    const [, h, w] = shape;
    cover(parts.before, picture, w, h);
    if (!stream) cover(parts.after, parts.before, w, h); // until it is made
    parts.frame.style.setProperty("--ratio", w / h);
    parts.told.textContent = "";
    const input = pixelsOf(withMargin(parts.before, margins), channels, config.range);
    const begun = performance.now();
    const output = await busy(run(input, h * w));
    speed = (h * w) / (performance.now() - begun);
    paint(parts.after, output, 0, config.range);
    crop(parts.after, Math.round(axes[1].scale * h), Math.round(axes[2].scale * w), margins);
    parts.told.textContent = `${w} × ${h} to ${parts.after.width} × ${parts.after.height} pixels`;
  }

  function busy(work) {
    parts.frame.setAttribute("aria-busy", !stream);
    return work.finally(() => {
      parts.frame.setAttribute("aria-busy", false);
      parts.progress.removeAttribute("value");
    });
  }

  // What is not local cannot be made in tiles.
  async function run(input, pixels) {
    if (stream || pixels < TILED || !session.engine.inputShape.includes(null)) return session.run([input]);
    const onProgress = (value, max) => Object.assign(parts.progress, { max, value });
    return session.tiled([input], { tile: TILE, onProgress }).catch(() => session.run([input]));
  }

  const show = latest(make);

  async function open(file) {
    stop();
    picture = await createImageBitmap(file).catch(() => {
      throw new Error(`${file.name}: is no picture that this browser can read`);
    });
    name = file.name?.replace(/\.\w+$/, "") || config.name;
    await show();
  }

  async function camera() {
    if (stream) return stop();
    stream = await navigator.mediaDevices?.getUserMedia({ video: { facingMode: "environment" } }).catch(() => null);
    if (!stream) throw new Error("the camera: this browser lends none to this page");
    const video = element("video", { srcObject: stream, muted: true, playsInline: true });
    await video.play();
    picture = video;
    parts.camera.setAttribute("aria-pressed", "true");
    while (stream) {
      await make();
      await new Promise(requestAnimationFrame);
    }
  }

  // The last frame stays.
  function stop() {
    if (!stream) return;
    const { width, height } = dimensions(picture);
    const still = element("canvas");
    cover(still, picture, width, height);
    picture = still;
    for (const track of stream.getTracks()) track.stop();
    stream = null;
    parts.camera.setAttribute("aria-pressed", "false");
  }

  parts.open = open;
  parts.camera.onclick = camera;
  parts.longest.onchange = () => show();
  parts.save.onclick = async () => save(await png(parts.after, 1), `${name}-after.png`);
  session.addEventListener("change", () => stream || show());
  await show();
  parts.longest.value = Math.min(1024, affordable(PATIENCE));
}

function build(root, engine, config) {
  const shown = (label) => element("canvas", { role: "img", "aria-label": label, width: 1, height: 1 });
  const divider = element("input", { type: "range", className: "divider", min: 0, max: 100, value: 50, step: "any" });
  divider.setAttribute("aria-label", "Divider: left of it before, right of it after");
  const parts = {
    before: shown("Before"),
    after: shown("After"),
    divider,
    camera: button("Camera", "c", null, { "aria-pressed": "false" }),
    save: button("Save", "s"),
    longest: element("select", { id: "longest" }, ...LONGEST.map((size) => new Option(`${size} pixels`, size))),
    told: element("output", { className: "told" }),
    progress: element("progress", { "aria-label": "How far the picture is" }),
  };
  parts.frame = element(
    "div",
    { className: "compare" },
    parts.before,
    parts.after,
    element("span", { className: "tag left" }, "before"),
    element("span", { className: "tag right" }, "after"),
    divider,
    parts.progress,
  );
  const split = () => parts.frame.style.setProperty("--split", `${divider.value}%`);
  divider.oninput = split;
  split();
  const free = engine.inputShape.includes(null);
  const size = free ? [element("label", { for: "longest" }, "longest side"), parts.longest] : [];
  const choose = chooser("Choose a picture", "o", "image", (file) => parts.open?.(file));
  root.append(
    element(
      "div",
      { className: "bar" },
      ...choose,
      parts.camera,
      parts.save,
      element("span", { className: "gap" }),
      ...size,
    ),
    parts.frame,
    element("p", { className: "note" }, "Or drop one anywhere, or paste it. It never leaves this device. ", parts.told),
  );
  return parts;
}

function dimensions(picture) {
  return { width: picture.videoWidth ?? picture.width, height: picture.videoHeight ?? picture.height };
}

// The middle of the picture on white, of just this size.
function cover(canvas, picture, width, height) {
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

// The picture's edge goes on in the margin.
function withMargin(canvas, [, down, right]) {
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

// What the margin made is left out.
function crop(canvas, height, width, [, down, right]) {
  if (!(down || right) || (canvas.width === width && canvas.height === height)) return;
  const context = canvas.getContext("2d");
  const [x, y] = [Math.floor((canvas.width - width) / 2), Math.floor((canvas.height - height) / 2)];
  const kept = context.getImageData(x, y, width, height);
  Object.assign(canvas, { width, height });
  context.putImageData(kept, 0, 0);
}
