// The live part of a page: the generator whose packed file stands in it, and what one can do with it.

import { unpacked } from "../packed.js";
import { element, listenForKeys } from "./dom.js";
import { latents } from "./latents.js";
import { bytesText, median, timeText } from "./numbers.js";
import { pictures } from "./pictures.js";
import { plain } from "./plain.js";
import { Session } from "./session.js";
import { sounds } from "./sounds.js";

const KINDS = { latents, picture: pictures, sound: sounds, plain };
const SIMD = { relaxed: "relaxed SIMD", simd128: "SIMD" };

/** Brings the element `root` to life; `config` is what src/pbgen/web/page.py says. */
export async function start(root, config) {
  const alert = element("p", { className: "alert", role: "alert", hidden: true });
  const told = (error) => {
    alert.textContent = error.message ?? error;
    alert.hidden = false;
  };
  addEventListener("unhandledrejection", ({ reason }) => told(reason));
  root.addEventListener("click", () => (alert.hidden = true), true);
  const waiting = element("p", { className: "note" }, "The engine is starting.");
  root.replaceChildren(alert, waiting);
  try {
    const weights = await unpacked(document.getElementById("pbgen-weights").textContent);
    const session = await Session.open(weights, config.activations);
    waiting.remove();
    const body = element("div");
    root.append(body, facts(session, config));
    await KINDS[config.kind](body, session, config);
    listenForKeys(root);
    root.dataset.ready = session.engine.simd;
  } catch (error) {
    waiting.remove();
    told(error);
  }
}

function facts(session, config) {
  const fact = (value, meaning) => element("div", {}, element("dt", {}, meaning), element("dd", {}, value));
  const time = element("span", {}, "…");
  const alike = config.kind === "latents"; // else each is as large as it is
  session.addEventListener(
    "time",
    ({ detail }) => (time.textContent = timeText(alike ? median(detail) : detail.at(-1))),
  );
  const what = alike ? "for each, on this device" : "the last one took, on this device";
  return element(
    "dl",
    { className: "facts" },
    fact(time, what),
    fact(bytesText(config.weights), "of weights, in this page"),
    fact(bytesText(config.engine), `of engine, in WebAssembly with ${SIMD[session.engine.simd]}`),
    fact(activations(session, config.activations), "activations"),
  );
}

function activations(session, usual) {
  const choice = (name) => {
    const input = element("input", { type: "radio", name: "activations", value: name, checked: name === usual });
    input.onchange = () => session.change(name);
    return element("label", {}, input, element("span", {}, name));
  };
  return element(
    "span",
    { className: "switch", role: "radiogroup", "aria-label": "activations" },
    choice("float32"),
    choice("int8"),
  );
}

const root = document.getElementById("pbgen-live");
start(root, JSON.parse(root.dataset.config));
