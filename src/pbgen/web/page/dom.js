// Elements in one line each.

/** An element with properties (`on...` are handlers, names with a dash attributes) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** A block of a class. */
export function block(className, ...children) {
  return element("div", { className }, ...children);
}

/** A canvas that shows what `label` says; without one it is the face of a button, which says it. */
export function shown(label) {
  const told = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return element("canvas", { width: 1, height: 1, ...told });
}

/** A field of a form behind its words. */
export function labelled(words, field) {
  return [element("label", { for: field.id }, words), field];
}

/** A choice of values, each in words. */
export function choice(id, values, words, chosen) {
  const options = values.map((value) => new Option(words(value), value, value === chosen, value === chosen));
  return element("select", { id }, ...options);
}

/** A button of words, and the key that does the same. */
export function button(words, key, onclick, properties = {}) {
  const hint = key ? [element("kbd", { "aria-hidden": "true" }, key.toUpperCase())] : [];
  const shortcut = key ? { "aria-keyshortcuts": key } : {};
  return element("button", { type: "button", onclick, ...shortcut, ...properties }, words, ...hint);
}

/** Presses a button of `root` at its key, unless somebody is writing. */
export function listenForKeys(root) {
  document.addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.target.matches("input:not([type=range], [type=radio]), select")
    )
      return;
    const found = root.querySelector(
      `button[aria-keyshortcuts="${CSS.escape(event.key.toLowerCase())}"]:not(:disabled)`,
    );
    if (!found || found.closest("[hidden]")) return;
    event.preventDefault();
    found.click();
  });
}

/** Calls `work` with the latest value that was asked for, one at a time: what was overtaken is left out. */
export function latest(work) {
  let wanted = [];
  let busy = false;
  return async (value) => {
    wanted = [value];
    if (busy) return;
    busy = true;
    try {
      while (wanted.length) await work(wanted.pop());
    } finally {
      busy = false;
    }
  };
}

/** Hands a file to the reader. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
