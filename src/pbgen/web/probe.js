// Which of the two modules this machine runs, and whether it computes right.

import { bytesOf, fetched, isFile } from "./bytes.js";
import { Core } from "./core.js";
import { MODULES } from "./modules.js";

// A function that returns an i8x16.relaxed_swizzle, and one that returns an i8x16.popcnt.
const head = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10];
const RELAXED = new Uint8Array([...head, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]);
const SIMD128 = new Uint8Array([...head, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

let usual;

/**
 * A module that computes right here, compiled, and its kind: { module, simd }.
 *
 * wasm: where the module is, its bytes, or itself; by default the package's own, of which the one with relaxed SIMD
 * comes first. Rejects with an Error where nothing is left that does.
 */
export async function computing(wasm) {
  if (wasm !== undefined) return tested("given", wasm);
  usual ??= choose();
  usual.catch(() => (usual = undefined)); // what could not be fetched may be there next time
  return usual;
}

async function choose() {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD128)) {
    throw new Error("WebAssembly has no SIMD here; every browser since 2023 has it, so update this one");
  }
  const relaxed = WebAssembly.validate(RELAXED) && (await tested("relaxed", MODULES.relaxed()).catch(() => null));
  return relaxed || tested("simd128", MODULES.simd128());
}

async function tested(simd, wasm) {
  const module = await compiled(await wasm);
  await selfTest(module);
  return { module, simd };
}

async function compiled(wasm) {
  if (wasm instanceof WebAssembly.Module) return wasm;
  if ((typeof wasm === "string" || wasm instanceof URL) && !isFile(wasm)) {
    const response = await fetched(wasm);
    const spare = response.clone(); // where the server does not call it application/wasm, or there is no streaming
    return WebAssembly.compileStreaming?.(response).catch(() => compiled(spare)) ?? compiled(spare);
  }
  return WebAssembly.compile(await bytesOf(wasm));
}

/** Runs a small layer of binary weights in both ways and compares it with the same sums in plain JavaScript. */
async function selfTest(module) {
  const [from, to, pixels] = [64, 64, 16];
  // Products of a number of the channel and one of the pixel: so the sums take few steps, for nothing is compiled yet.
  const channels = Array.from({ length: from }, (_, c) => ((c * 37) % 15) - 7);
  const columns = Array.from({ length: pixels }, (_, p) => (p % 2 ? p + 1 : -p - 1));
  const input = Float32Array.from(channels.flatMap((channel) => columns.map((column) => channel * column)));
  const bits = Uint8Array.from({ length: (from * to) / 8 }, (_, i) => (i * i * 31 + i * 7) >> 3);
  const wanted = new Float32Array(to * pixels);
  for (let row = 0, i = 0; row < to; ++row) {
    let [sum, ones] = [0, 0];
    for (let c = 0; c < from; ++c, ++i) {
      const sign = (bits[i >> 3] >> (i & 7)) & 1 ? 1 : -1;
      sum += sign * channels[c];
      ones += sign;
    }
    for (let p = 0; p < pixels; ++p) wanted[row * pixels + p] = sum * columns[p] + ones;
  }
  const largest = Math.max(...wanted.map(Math.abs));
  for (const int8 of [false, true]) {
    const core = await Core.start(module);
    core.open(testFile(from, to, pixels, bits), int8);
    const found = new Float32Array(wanted.length);
    core.run([input], [[from, pixels]], 1, [found]);
    core.close();
    const bound = int8 ? largest / 20 : 0.01; // sums of integers are exact, but where they are rounded to 8 bits
    if (found.some((value, i) => !(Math.abs(value - wanted[i]) <= bound))) {
      throw new Error("WebAssembly's SIMD computes wrongly here, as in some versions of iOS 16; update the system");
    }
  }
}

// A packed generator (docs/format.md): 1 is added, then comes a convolution of kernel 1. One that reads the input itself
// would take it as it is, with int8 activations, too.
function testFile(from, to, pixels, bits) {
  const shape = [1, from, pixels];
  const sum = { op: "map", name: "sum", inputs: [0], shape, program: [["add", 0, 1]], numbers: [1] };
  const layer = { op: "conv", name: "layer", inputs: [1], shape: [1, to, pixels], weight: "w" };
  Object.assign(layer, { kernel: [1], stride: [1], padding: [0], dilation: [1], groups: 1 });
  const graph = {
    version: 2,
    inputs: [{ name: "x", shape }],
    sizes: [],
    nodes: [sum, layer],
    outputs: [["y", 2]],
  };
  const header = {
    __metadata__: { pbgen: JSON.stringify(graph) },
    w: { dtype: "U8", shape: [bits.length], data_offsets: [0, bits.length] },
  };
  const text = JSON.stringify(header);
  const padded = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + padded.length + bits.length);
  new DataView(file.buffer).setUint32(0, padded.length, true);
  file.set(padded, 8);
  file.set(bits, 8 + padded.length);
  return file;
}
