// The controls of a page for latents: what is made now, large, with its sliders, beside the gallery.

import { block, button, element, labelled } from "./dom.js";

/** Puts them into `root`: `count` tiles, `directions` to walk along, a field for each input of integers. */
export function studio(root, view, engine, count, directions) {
  const parts = { ...canvases(view, count), ...sliders(), ...controls(directions), labels: labels(engine.inputs) };
  const fields = Object.entries(parts.labels).flatMap(([name, field]) => labelled(name, field));
  parts.walking = block(
    "walk",
    element("label", { for: "walk" }, "Walk along direction ", parts.direction),
    block("steps", parts.back, parts.next),
    parts.walk,
  );
  parts.walking.hidden = true;
  const note = "Choose one, hold it, choose another: the slider goes from one to the other.";
  const stage = block(
    "stage",
    block("frame", parts.large),
    block("morph", parts.held, parts.between, parts.chosen),
    parts.walking,
    block("actions", parts.hold, parts.drift, ...view.controls, parts.save),
  );
  const choosing = block(
    "choosing",
    block("bar", parts.fresh, ...labelled("seed", parts.seed), ...fields),
    element("div", { className: "gallery", role: "group", "aria-label": "Gallery" }, ...parts.gallery),
    element("p", { className: "note" }, note),
  );
  root.append(block("studio", stage, choosing));
  moveByArrows(parts.gallery);
  return parts;
}

function canvases(view, count) {
  const inside = (className, words, more) =>
    button(view.canvas(""), "", null, { className, "aria-label": words, ...more });
  return {
    large: view.canvas("What the generator makes now"),
    gallery: Array.from({ length: count }, (_, i) => inside("tile", `Number ${i + 1}`, { "aria-pressed": "false" })),
    held: inside("well", "To the held one"),
    chosen: inside("well", "To the chosen one"),
  };
}

function sliders() {
  const slider = (properties) => element("input", { type: "range", step: "any", ...properties });
  return {
    between: slider({ min: 0, max: 1, value: 1, "aria-label": "Between the held and the chosen one" }),
    walk: slider({ min: -1, max: 1, value: 0, id: "walk" }),
  };
}

function controls(directions) {
  return {
    back: button("‹", "", null, { className: "step", "aria-label": "Direction before" }),
    next: button("›", "", null, { className: "step", "aria-label": "Next direction" }),
    direction: element("output", {}, `1 of ${directions}`),
    fresh: button("New", "n", null, { className: "primary" }),
    hold: button("Hold", "h"),
    drift: button("Drift", "d", null, { "aria-pressed": "false" }),
    save: button("Save", "s"),
    seed: seedField(),
  };
}

/** The seed of what is drawn. */
export function seedField() {
  const max = Number.MAX_SAFE_INTEGER;
  return element("input", { type: "number", id: "seed", min: 0, max, step: 1, value: 0, required: true });
}

function labels(inputs) {
  const field = (name) => element("input", { type: "number", value: 0, step: 1, id: `label-${name}` });
  return Object.fromEntries(inputs.filter(({ integer }) => integer).map(({ name }) => [name, field(name)]));
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
