// Latents in, a picture or a sound out: a gallery, two of it held with all between, and walks through latent space.

import { button, element, latest, save } from "./dom.js";
import { showing } from "./showing.js";
import { along, between, directions } from "./vectors.js";

const PICTURES = 24; // in the gallery
const SAMPLES = 192; // that directions are found by
const DIRECTIONS = 8;
const REACH = 4; // standard deviations, of a walk along a direction
const DRIFT = 2600; // milliseconds from one picture to the next

/** Builds the page's live part in `root`. */
export async function latents(root, session, config) {
  const view = showing(session.engine.outputs[0].shape, config.range);
  const state = { seed: config.seed, page: [], held: null, chosen: null, between: 1, walk: 0, direction: 0, found: [] };
  const parts = build(root, view, session.engine);
  const { inputs } = session.engine;
  const names = [...inputs, ...session.engine.noise].filter(({ integer }) => !integer).map(({ name }) => name);
  const shapes = inputs.map(({ shape }) => shape);
  let sizes; // of what `names` are, to take one vector apart

  // One vector for each picture from number `first` on, of all that is drawn for it.
  async function drawn(seed, first, count) {
    const tensors = await session.use((engine) => engine.draw(shapes, { seed, first, count }));
    sizes = names.map((name) => tensors[name].shape.slice(1));
    return Array.from({ length: count }, (_, i) => {
      const own = names.map((name) => {
        const each = tensors[name].data.length / count;
        return tensors[name].data.subarray(i * each, (i + 1) * each);
      });
      const joined = new Float32Array(own.reduce((length, { length: each }) => length + each, 0));
      own.reduce((at, numbers) => (joined.set(numbers, at), at + numbers.length), 0);
      return joined;
    });
  }

  async function made(vector) {
    const tensors = {};
    let at = 0;
    names.forEach((name, i) => {
      const length = sizes[i].reduce((product, size) => product * size, 1);
      tensors[name] = { data: vector.subarray(at, (at += length)), shape: [1, ...sizes[i]] };
    });
    const given = inputs.map(
      ({ name, shape }) => tensors[name] ?? labelled(shape, parts.labels[name].valueAsNumber || 0),
    );
    const noise = Object.fromEntries(session.engine.noise.map(({ name }) => [name, tensors[name]]));
    const outputs = await session.run(given, { noise });
    return Array.isArray(outputs) ? outputs[0] : outputs;
  }

  const vector = () => {
    const direction = state.found[state.direction];
    const here = between(state.held.vector, state.chosen.vector, state.between);
    return direction ? along(here, direction, state.walk * reach(here.length)) : here;
  };

  const show = latest(async () => view.paint(parts.large, await made(vector()), 0));

  // The newest gallery only: an older one that is still being made is left.
  let galleries = 0;
  async function fill(seed) {
    const own = ++galleries;
    state.seed = seed;
    parts.seed.value = seed;
    const vectors = await drawn(seed, 0, PICTURES);
    for (let i = 0; i < PICTURES && own === galleries; ++i) {
      view.paint(parts.gallery[i].firstChild, await made(vectors[i]), 0);
      state.page[i] = vectors[i];
      if (i === 0 && !state.held) hold({ vector: vectors[0], canvas: parts.gallery[0].firstChild });
      if (i === 0) choose(0);
    }
  }

  function hold(what) {
    state.held = { vector: what.vector };
    copy(what.canvas, parts.held.firstChild);
  }

  function take(chosen, canvas) {
    state.chosen = { vector: chosen };
    copy(canvas, parts.chosen.firstChild);
    setBetween(1);
  }

  function choose(i) {
    if (!state.page[i]) return;
    drift(false);
    parts.gallery.forEach((tile, j) => tile.setAttribute("aria-pressed", j === i));
    take(state.page[i], parts.gallery[i].firstChild);
    setWalk(0);
  }

  function setBetween(t) {
    state.between = t;
    parts.between.value = t;
    parts.between.disabled = state.held?.vector === state.chosen?.vector;
    show();
  }

  function setWalk(distance) {
    state.walk = distance;
    parts.walk.value = distance;
    show();
  }

  function setDirection(i) {
    state.direction = (i + DIRECTIONS) % DIRECTIONS;
    parts.direction.textContent = `${state.direction + 1} of ${DIRECTIONS}`;
    setWalk(0);
  }

  async function findDirections() {
    const vectors = await drawn(2 ** 40, 0, SAMPLES);
    const pictures = [];
    for (const sample of vectors) pictures.push(view.coarse(await made(sample), 0));
    state.found = directions(vectors, pictures, DIRECTIONS);
    parts.walk.disabled = false;
    parts.walking.hidden = false;
  }

  // From one picture to the next, on and on.
  let drifting = 0;
  async function drift(on) {
    const own = ++drifting;
    parts.drift.setAttribute("aria-pressed", on);
    while (on && own === drifting) {
      hold({ vector: vector(), canvas: parts.large });
      setWalk(0);
      const [next] = await drawn(random(), 0, 1);
      const scratch = document.createElement("canvas");
      view.paint(scratch, await made(next), 0);
      if (own !== drifting) return;
      take(next, scratch);
      const begun = performance.now();
      for (let t = 0; t < 1 && own === drifting;) {
        t = Math.min(1, (performance.now() - begun) / DRIFT);
        setBetween(t * t * (3 - 2 * t));
        await new Promise(requestAnimationFrame);
      }
    }
  }

  parts.gallery.forEach((tile, i) => {
    tile.onclick = () => {
      choose(i);
      parts.large.scrollIntoView({ block: "nearest", behavior: "smooth" }); // on a phone it is far above
    };
  });
  parts.fresh.onclick = () => fill(random());
  parts.seed.onchange = () => parts.seed.reportValidity() && fill(parts.seed.valueAsNumber);
  parts.hold.onclick = () => {
    hold({ vector: vector(), canvas: parts.large });
    setWalk(0);
    setBetween(0);
  };
  parts.held.onclick = () => setBetween(0);
  parts.chosen.onclick = () => setBetween(1);
  parts.between.oninput = () => {
    drift(false);
    setBetween(parts.between.valueAsNumber);
  };
  parts.walk.oninput = () => {
    drift(false);
    setWalk(parts.walk.valueAsNumber);
  };
  parts.back.onclick = () => setDirection(state.direction - 1);
  parts.next.onclick = () => setDirection(state.direction + 1);
  parts.drift.onclick = () => drift(parts.drift.getAttribute("aria-pressed") !== "true");
  parts.save.onclick = async () => save(await view.file(parts.large), `${config.name}-${state.seed}${view.ending}`);
  for (const label of Object.values(parts.labels)) label.onchange = () => fill(state.seed);
  session.addEventListener("change", async () => {
    show();
    for (const [i, own] of state.page.entries()) view.paint(parts.gallery[i].firstChild, await made(own), 0);
  });
  moveByArrows(parts.gallery);

  await fill(state.seed);
  findDirections().catch(() => {}); // another engine took over
}

function build(root, view, engine) {
  const tile = (i) =>
    button(view.canvas(""), "", null, { className: "tile", "aria-label": `Number ${i + 1}`, "aria-pressed": "false" });
  const well = (words) => button(view.canvas(""), "", null, { className: "well", "aria-label": words });
  const slider = (properties) => element("input", { type: "range", step: "any", ...properties });
  const parts = {
    large: view.canvas("What the generator makes now"),
    gallery: Array.from({ length: PICTURES }, (_, i) => tile(i)),
    held: well("To the held one"),
    chosen: well("To the chosen one"),
    between: slider({ min: 0, max: 1, value: 1, "aria-label": "Between the held and the chosen one" }),
    walk: slider({ min: -1, max: 1, value: 0, disabled: true, id: "walk" }),
    back: button("‹", "", null, { className: "step", "aria-label": "Direction before" }),
    next: button("›", "", null, { className: "step", "aria-label": "Next direction" }),
    direction: element("output", {}, `1 of ${DIRECTIONS}`),
    fresh: button("New", "n", null, { className: "primary" }),
    hold: button("Hold", "h"),
    drift: button("Drift", "d", null, { "aria-pressed": "false" }),
    save: button("Save", "s"),
    seed: element("input", {
      type: "number",
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
      step: 1,
      required: true,
      id: "seed",
    }),
    labels: {},
  };
  parts.walking = element(
    "div",
    { className: "walk", hidden: true },
    element("label", { for: "walk" }, "Walk along direction ", parts.direction),
    element("span", { className: "steps" }, parts.back, parts.next),
    parts.walk,
  );
  for (const { name, integer } of engine.inputs) {
    if (integer) parts.labels[name] = element("input", { type: "number", value: 0, step: 1, id: `label-${name}` });
  }
  const fields = Object.entries(parts.labels).flatMap(([name, input]) => [
    element("label", { for: input.id }, name),
    input,
  ]);
  root.append(
    element(
      "div",
      { className: "studio" },
      element(
        "div",
        { className: "stage" },
        element("div", { className: "frame" }, parts.large),
        element("div", { className: "morph" }, parts.held, parts.between, parts.chosen),
        parts.walking,
        element("div", { className: "actions" }, parts.hold, parts.drift, ...view.controls, parts.save),
      ),
      element(
        "div",
        {},
        element(
          "div",
          { className: "bar" },
          parts.fresh,
          element("label", { for: "seed" }, "seed"),
          parts.seed,
          ...fields,
        ),
        element("div", { className: "gallery", role: "group", "aria-label": "Gallery" }, ...parts.gallery),
        element(
          "p",
          { className: "note" },
          "Choose one, hold it, choose another: the slider goes from one to the other.",
        ),
      ),
    ),
  );
  return parts;
}

// Integers: the same one everywhere.
function labelled(shape, value) {
  return {
    data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value),
    shape: [1, ...shape],
  };
}

// Along one of many numbers the same distance is less of a change.
function reach(numbers) {
  return REACH * Math.max(1, Math.sqrt(numbers / 128));
}

function random() {
  return Math.floor(Math.random() * 1e6);
}

function copy(from, to) {
  Object.assign(to, { width: from.width, height: from.height });
  to.getContext("2d").drawImage(from, 0, 0);
}

// Arrow keys go through a grid of buttons as it is laid out.
function moveByArrows(tiles) {
  const columns = () => tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
  const steps = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: columns };
  tiles.forEach((tile, i) => {
    tile.onkeydown = (event) => {
      const next = event.key in steps && tiles[i + steps[event.key]()];
      if (!next) return;
      event.preventDefault();
      next.focus();
    };
  });
}
