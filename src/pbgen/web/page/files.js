// Files that a reader chooses, drops or pastes.

import { button, element } from "./dom.js";

/** A button that lets choose a file of a kind such as "image"; files of it dropped or pasted anywhere count, too. */
export function chooser(words, key, kind, take) {
  const field = element("input", {
    type: "file",
    accept: `${kind}/*`,
    hidden: true,
    onchange: () => given(field.files),
  });
  const given = (files) => {
    const file = [...files].find(({ type }) => type.startsWith(`${kind}/`)) ?? files[0];
    if (file) take(file);
  };
  const dragged = (event) => {
    event.preventDefault();
    document.documentElement.classList.toggle("dropping", event.type === "dragover");
    if (event.type === "drop") given(event.dataTransfer.files);
  };
  for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, dragged);
  addEventListener("paste", (event) => given(event.clipboardData.files));
  return [button(words, key, () => field.click(), { className: "primary" }), field];
}
