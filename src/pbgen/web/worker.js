// An engine in a worker: answers the calls of a WorkerEngine (worker-engine.js).

import { Engine } from "./engine.js";

let engine;

async function answer(method, parameters, progress) {
  if (method !== "load") return engine[method](...parameters.map((value) => withProgress(value, progress)));
  engine = await Engine.load(...parameters);
  return { ...engine }; // what describes it: plain data
}

function withProgress(value, onProgress) {
  return value?.progressWanted ? { ...value, onProgress } : value;
}

// The arrays of numbers in a result, which move to the other side without a copy.
function buffers(value) {
  if (ArrayBuffer.isView(value)) return [value.buffer];
  return value && typeof value === "object" ? Object.values(value).flatMap(buffers) : [];
}

self.onmessage = async ({ data: { id, method, parameters } }) => {
  try {
    const result = await answer(method, parameters, (...progress) => self.postMessage({ id, progress }));
    const residentBytes = method === "close" ? 0 : engine.residentBytes;
    self.postMessage({ id, result, residentBytes }, [...new Set(buffers(result))]);
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
