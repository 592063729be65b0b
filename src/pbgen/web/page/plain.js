// Whatever a network takes and gives: random numbers in, and what comes out as picture, sound, or rows of grey.

import { block, button, element, labelled } from "./dom.js";
import { showing } from "./showing.js";
import { seedField } from "./studio.js";

const SIZES = [64, 32, 128, 256, 16, 8, 4, 2, 1]; // of free dimensions, the first that the network takes

/** Builds the page's live part in `root`. */
export async function plain(root, session, config) {
  const { inputs, outputs } = session.engine;
  const shapes = await usual(session.engine);
  const seed = seedField();
  const fresh = button("New", "n", () => make(Math.floor(Math.random() * 1e6)), { className: "primary" });
  const list = element(
    "ul",
    { className: "note" },
    ...inputs.map(({ name }, i) => element("li", {}, `${name}: random, ${shapes[i].join(" × ")}`)),
  );
  const made = outputs.map(({ name }) => element("figure", {}, element("figcaption", {}, name)));
  root.append(block("bar", fresh, ...labelled("seed", seed)), ...made, list);

  async function make(number) {
    seed.value = number;
    const drawn = await session.use((engine) => engine.draw(shapes, { seed: number }));
    const noise = Object.fromEntries(session.engine.noise.map(({ name }) => [name, drawn[name]]));
    const given = inputs.map(({ name }) => drawn[name]);
    const found = await session.run(given, { noise });
    (Array.isArray(found) ? found : [found]).forEach((tensor, i) =>
      fill(made[i], tensor, outputs[i].name, config.range),
    );
  }

  seed.onchange = () => make(seed.valueAsNumber || 0);
  session.addEventListener("change", () => make(seed.valueAsNumber));
  await make(config.seed);
}

function fill(figure, { data, shape }, name, range) {
  const tensor = planes(data, shape);
  const view = showing(tensor.shape.slice(1), tensor.range ?? range);
  const canvas = view.canvas(name);
  const ends = tensor.range ? `, ${tensor.range.low.toPrecision(3)} to ${tensor.range.high.toPrecision(3)}` : "";
  const caption = `${name}: ${shape.slice(1).join(" × ")}${ends}`;
  figure.replaceChildren(
    element("div", { className: "frame wide" }, canvas),
    element("figcaption", {}, caption, " ", ...view.controls),
  );
  view.paint(canvas, tensor, 0);
}

// A picture or a sound as it is; what is neither as one grey picture, a row for each of the last dimension's.
function planes(data, shape) {
  if (shape.length === 4 && [1, 3].includes(shape[1])) return { data, shape };
  if (shape.length === 3 && [1, 2].includes(shape[1])) return { data, shape };
  const width = shape.at(-1) ?? 1;
  const [low, high] = [
    data.reduce((a, b) => Math.min(a, b), Infinity),
    data.reduce((a, b) => Math.max(a, b), -Infinity),
  ];
  return { data, shape: [1, 1, data.length / width, width], range: { low, high: high > low ? high : low + 1 } };
}

async function usual(engine) {
  for (const size of SIZES) {
    const shapes = engine.inputs.map(({ shape }) => shape.map((length) => length ?? size));
    if (await engine.outputShapeFor(...shapes).catch(() => null)) return shapes;
  }
  throw new Error("the network takes none of the usual sizes; run it by pbgen run");
}
