// The controls of a page for pictures: before and after in one frame, with a divider between them.

import { block, button, choice, element, labelled, shown } from "./dom.js";
import { chooser } from "./files.js";

/** Puts them into `root`. sizes: of the longest side, to choose from, where there is a choice. open: takes a file. */
export function compare(root, sizes, first, open) {
  const parts = {
    before: shown("Before"),
    after: shown("After"),
    camera: button("Camera", "c", null, { "aria-pressed": "false" }),
    save: button("Save", "s"),
    longest: choice("longest", sizes, (size) => `${size} pixels`, first),
    told: element("output", { className: "told" }),
    progress: element("progress", { "aria-label": "How far the picture is" }),
  };
  const tag = (words, side) => element("span", { className: `tag ${side}` }, words);
  parts.frame = block(
    "compare",
    parts.before,
    parts.after,
    tag("before", "left"),
    tag("after", "right"),
    parts.progress,
  );
  parts.frame.append(divider(parts.frame));
  const size = sizes.length ? labelled("longest side", parts.longest) : [];
  const choose = chooser("Choose a picture", "o", "image", open);
  const note = "Or drop one anywhere, or paste it. It never leaves this device. ";
  root.append(
    block("bar", ...choose, parts.camera, parts.save, block("gap"), ...size),
    parts.frame,
    element("p", { className: "note" }, note, parts.told),
  );
  return parts;
}

function divider(frame) {
  const slider = element("input", { type: "range", className: "divider", min: 0, max: 100, value: 50, step: "any" });
  slider.setAttribute("aria-label", "Divider: left of it before, right of it after");
  slider.oninput = () => frame.style.setProperty("--split", `${slider.value}%`);
  slider.oninput();
  return slider;
}
