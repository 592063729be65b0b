// Runs a packed generator in WebAssembly: typed arrays in, typed arrays out.

import { bytesOf } from "./bytes.js";
import { Core } from "./core.js";
import { computing } from "./probe.js";

const ACTIVATIONS = ["float32", "int8"];
const MAX_INTEGER = 2 ** 24; // float32 holds all up to it
const MAX_SEED = 2n ** 64n - 1n;
const AT_ONCE = 2 ** 20; // numbers that cross to the engine and back in one call, or those of one image

/**
 * A packed generator, loaded and ready to make images.
 *
 * A tensor is { data, shape }: numbers, row-major, and their shape with the batch first. Where nothing is free, the
 * numbers alone do for an input. What is wrong is told by an Error of one line.
 */
export class Engine {
  #core;
  #all; // inputs, noise among them, in the file's order

  /**
   * Loads a packed file: a URL, in Node also a file's name, a Response, a Blob, an ArrayBuffer or a view of one.
   *
   * activations: "float32", or "int8", which is faster, and the images differ a little.
   * wasm: the engine's module where it is not beside this file: its URL, its bytes, or a WebAssembly.Module.
   */
  static async load(source, { activations = "float32", wasm } = {}) {
    if (!ACTIVATIONS.includes(activations)) {
      throw new Error(`activations ${JSON.stringify(activations)}: must be "float32" or "int8"`);
    }
    const [file, { module, simd }] = await Promise.all([bytesOf(source), computing(wasm)]);
    const engine = new Engine();
    engine.#core = await Core.start(module);
    engine.#core.open(file, activations === "int8");
    engine.#describe({ activations, simd });
    return engine;
  }

  #describe(known) {
    const free = (tensors) => (tensors.length === 1 ? tensors[0].shape : tensors.map(({ shape }) => shape));
    this.#all = this.#core.inputs().map((input, number) => ({ ...input, number }));
    Object.assign(this, known);
    /** What a call takes, in its order: { name, shape, integer, noise, number }, a free dimension null. */
    this.inputs = this.#all.filter(({ noise }) => !noise);
    /** What is drawn from the seed of a call, unless it is given. */
    this.noise = this.#all.filter(({ noise }) => noise);
    /** What a call makes: { name, shape }. */
    this.outputs = this.#core.outputs();
    /** Shape of the input, without the batch; a list of shapes where there are several. Free dimensions are null. */
    this.inputShape = free(this.inputs);
    this.outputShape = free(this.outputs);
    /** The layers with weights: { name, kernel, weightBytes, bits }. */
    this.layers = this.#core.layers();
  }

  /** Bytes that the engine holds now: packed weights, and the buffers it keeps for calls. */
  get residentBytes() {
    return this.#core.residentBytes();
  }

  /**
   * Makes images of one input, or of a list of them, as many as `inputs` has.
   *
   * seed: of the noise that the generator draws, 0 to 2^64 - 1 (a BigInt from 2^53 on). noise: tensors by their names,
   * to be taken instead. Resolves to a tensor, or to a list of them where the generator has several outputs.
   */
  async run(inputs, { seed = 0, noise = {} } = {}) {
    return this.#make(inputs, seed, noise, (given, shapes, count, made) => this.#core.run(given, shapes, count, made));
  }

  /** Makes images as `run` does; resolves to { outputs, seconds }, the seconds of each layer by its name. */
  async timeLayers(inputs, { seed = 0, noise = {} } = {}) {
    const seconds = this.layers.map(() => 0);
    const outputs = this.#make(inputs, seed, noise, (given, shapes, count, made) => {
      this.#core.run(given, shapes, count, made, true).forEach((time, i) => (seconds[i] += time));
    });
    return { outputs, seconds: this.#byLayer(seconds) };
  }

  /**
   * Makes images of any size as `run` does, in memory that a tile bounds, beside inputs and outputs.
   *
   * tile: about how many pixels of the inputs, along each free dimension, a tile makes; its margins come on top.
   * onProgress: called with the tiles done and their number. Rejects where the network is not local.
   */
  async tiled(inputs, { tile = 256, seed = 0, noise = {}, onProgress = () => {} } = {}) {
    if (!(Number.isInteger(tile) && tile >= 1)) throw new Error(`tile ${tile}: must be at least one pixel`);
    const edge = Math.min(tile, 2 ** 31 - 1); // the engine counts in 32 bits
    const each = (given, shapes, _, made, image, images) => {
      this.#core.runTiles(given, shapes, edge, made, (done, tiles) => onProgress(image * tiles + done, images * tiles));
    };
    return this.#make(inputs, seed, noise, each, 1);
  }

  /** The outputs' shapes for inputs of these shapes, all without the batch; one shape where there is one output. */
  outputShapeFor(...shapes) {
    if (shapes.length !== this.inputs.length) {
      throw new Error(`${shapes.length} shapes given where the generator has ${this.inputs.length} inputs`);
    }
    const found = this.#core.outputShapes(this.#withNoise(shapes));
    return found.length === 1 ? found[0] : found;
  }

  /** Multiply-adds of each layer, by its name, for one image of inputs of these shapes. */
  operations(...shapes) {
    this.outputShapeFor(...shapes);
    return this.#byLayer(this.#core.operations(this.#withNoise(shapes)));
  }

  /**
   * All inputs by name for `count` images, number `first` of `seed`'s on, where the given ones have these shapes.
   *
   * Noise is what a call draws; inputs that are none are drawn as normal noise, those of integers are 0.
   */
  draw(shapes, { count = 1, seed = 0, first = 0 } = {}) {
    for (const [name, value] of Object.entries({ count, first })) {
      if (!(Number.isSafeInteger(value) && value >= 0))
        throw new Error(`${name} ${value}: must be an integer from 0 on`);
    }
    this.outputShapeFor(...shapes);
    const known = this.#withNoise(shapes);
    return Object.fromEntries(
      this.#all.map((input, i) => [input.name, this.#drawn(input, known[i], count, seed, first)]),
    );
  }

  /** Frees the engine's memory; it can do nothing after that. */
  close() {
    this.#core.close();
  }

  // `call` makes some images at a time: Float32Arrays of all inputs, their shapes, the images' number, room for outputs,
  // and which of how many the first one is.
  #make(inputs, seed, noise, call, most = Infinity) {
    const tensors = this.#tensors(inputs, seed, noise);
    const count = tensors[0].shape[0];
    const shapes = tensors.map(({ shape }) => shape.slice(1));
    const outputs = this.#core.outputShapes(shapes).map((shape) => room(count, shape));
    const numbers = [...tensors, ...outputs].reduce((sum, { shape }) => sum + size(shape.slice(1)), 0);
    const step = Math.min(most, Math.max(1, Math.floor(AT_ONCE / numbers)));
    for (let first = 0; first < count; first += step) {
      const images = Math.min(step, count - first);
      const part = ({ data, shape }) => {
        const each = size(shape.slice(1));
        return data.subarray(first * each, (first + images) * each);
      };
      call(tensors.map(part), shapes, images, outputs.map(part), first, count);
    }
    return outputs.length === 1 ? outputs[0] : outputs;
  }

  // All inputs in the file's order, checked, the missing noise drawn.
  #tensors(inputs, seed, noise) {
    const given = Array.isArray(inputs) ? inputs : [inputs];
    if (given.length !== this.inputs.length) {
      const names = this.inputs.map(({ name }) => name).join(", ");
      throw new Error(`${given.length} inputs given where the generator takes ${this.inputs.length}: ${names}`);
    }
    for (const name of Object.keys(noise)) {
      if (!this.noise.some((input) => input.name === name)) {
        throw new Error(
          `noise ${name}: the generator draws ${this.noise.map((input) => input.name).join(", ") || "none"}`,
        );
      }
    }
    const found = new Map(this.inputs.map((input, i) => [input, checked(input, given[i])]));
    for (const input of this.noise) if (input.name in noise) found.set(input, checked(input, noise[input.name]));
    const counts = new Set([...found.values()].map(({ shape }) => shape[0]));
    if (counts.size > 1) throw new Error(`the inputs have different numbers of images: ${[...counts].join(", ")}`);
    const [count] = counts;
    const shapes = this.#withNoise(this.inputs.map((input) => found.get(input).shape.slice(1)));
    return this.#all.map((input, i) => found.get(input) ?? this.#drawn(input, shapes[i], count, seed, 0));
  }

  // The shapes of all inputs, for those that a call takes.
  #withNoise(shapes) {
    if (!this.noise.length) return shapes;
    const given = shapes.values();
    return this.#core.completeShapes(this.#all.map(({ noise }) => (noise ? [] : given.next().value)));
  }

  #drawn({ integer, noise, number }, shape, count, seed, first) {
    const tensor = room(count, shape);
    if (integer) return tensor;
    const each = BigInt(size(shape));
    const own = BigInt.asUintN(64, checkedSeed(seed) + BigInt(number) * 0xd1b54a32d192ed03n);
    tensor.data = this.#core.draw(noise ?? "normal", own, BigInt(first) * each, tensor.data.length);
    return tensor;
  }

  #byLayer(numbers) {
    return Object.fromEntries(this.layers.map(({ name }, i) => [name, numbers[i]]));
  }
}

function checked({ name, shape, integer }, value) {
  const expected = text(["N", ...shape.map((length) => length ?? "any")]);
  const { data, shape: found } = tensorOf(name, value, shape, expected);
  const fits =
    found.length === 1 + shape.length && shape.every((length, i) => length === null || length === found[i + 1]);
  if (!fits) throw new Error(`${name}: has the shape ${text(found)}; it must be ${expected}`);
  if (size(found) !== data.length) {
    throw new Error(`${name}: holds ${data.length} numbers, and its shape ${text(found)} says ${size(found)}`);
  }
  if (integer && data.some((number) => !Number.isInteger(number) || Math.abs(number) > MAX_INTEGER)) {
    throw new Error(`${name}: holds numbers that are no integers of at most ${MAX_INTEGER}`);
  }
  return { data, shape: [...found] };
}

function tensorOf(name, value, shape, expected) {
  if (value?.data !== undefined && Array.isArray(value.shape)) {
    return { data: numbersOf(name, value.data, expected), shape: value.shape };
  }
  const data = numbersOf(name, value, expected);
  if (shape.includes(null)) throw new Error(`${name}: is of any size; give { data, shape } with the shape ${expected}`);
  const count = data.length / size(shape);
  if (!Number.isInteger(count)) {
    throw new Error(`${name}: holds ${data.length} numbers, no multiple of ${size(shape)}; it must be ${expected}`);
  }
  return { data, shape: [count, ...shape] };
}

function numbersOf(name, values, expected) {
  if (values instanceof Float32Array) return values;
  const array = ArrayBuffer.isView(values) && !(values instanceof DataView);
  if (!array && !(Array.isArray(values) && values.every((value) => typeof value === "number"))) {
    throw new Error(
      `${name}: no typed array of numbers, and no { data, shape } with one; it must have the shape ${expected}`,
    );
  }
  return Float32Array.from(values, Number);
}

function checkedSeed(seed) {
  const valid = typeof seed === "bigint" ? seed >= 0n && seed <= MAX_SEED : Number.isSafeInteger(seed) && seed >= 0;
  if (!valid) throw new Error(`seed ${seed}: must be 0 to ${MAX_SEED}, a BigInt from 2^53 on`);
  return BigInt(seed);
}

function room(count, shape) {
  try {
    return { data: new Float32Array(count * size(shape)), shape: [count, ...shape] };
  } catch {
    throw new Error(`no memory for ${count} of the shape ${text(shape)}; give fewer at once`);
  }
}

function size(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

function text(shape) {
  return `(${shape.join(", ")})`;
}
