// Where the worker's code lies: beside this file. Pages bring it in a file of this name instead.

export function newWorker() {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}
