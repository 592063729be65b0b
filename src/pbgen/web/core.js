// One instance of the compiled engine: the C interface (core/include/pbgen.h) as wasm32 lays it out.

const MAX_RANK = 8;
const SHAPE_BYTES = 4 * (1 + MAX_RANK);
const VALUE_BYTES = 4 + SHAPE_BYTES + 8;
const LAYER_BYTES = 24;
const NOISE = [null, "normal", "uniform"];

export class Core {
  #c;
  #engine = 0;
  #stopped = "";

  /** An instance of a compiled module. */
  static async start(module) {
    const core = new Core();
    const instance = await WebAssembly.instantiate(module, { env: { now: () => performance.now() } });
    core.#c = instance.exports;
    core.#c._initialize?.();
    return core;
  }

  /** Opens a packed file. */
  open(file, int8) {
    this.#engine = this.#within((take) => {
      const data = take(file.length);
      this.#bytes(data, file.length).set(file);
      return this.#call("pbgen_open_memory", data, file.length, 1, int8 ? 1 : 0);
    });
    if (!this.#engine) throw new Error(this.#error());
  }

  close() {
    this.#c?.pbgen_close(this.#engine);
    this.#c = null;
    this.#stopped = "the engine is closed; load it again";
  }

  /** All inputs as { name, shape, integer, noise }, a free dimension null. */
  inputs() {
    return this.#list("pbgen_input_count", (i) => this.#value("pbgen_input_info", i));
  }

  /** All outputs as { name, shape }. */
  outputs() {
    return this.#list("pbgen_output_count", (i) => this.#value("pbgen_output_info", i)).map(({ name, shape }) => ({
      name,
      shape,
    }));
  }

  layers() {
    return this.#list("pbgen_layer_count", (i) => this.#layer(i));
  }

  residentBytes() {
    return this.#call("pbgen_resident_bytes", this.#engine);
  }

  /** The shapes of all inputs, where those of noise are left empty. */
  completeShapes(shapes) {
    return this.#within((take) => {
      const given = this.#shapes(take, shapes);
      this.#check(this.#call("pbgen_noise_shapes", this.#engine, given));
      return this.#readShapes(given, shapes.length);
    });
  }

  /** The shapes of the outputs for all inputs'. */
  outputShapes(shapes) {
    return this.#within((take) => {
      const count = this.#call("pbgen_output_count", this.#engine);
      const made = take(count * SHAPE_BYTES);
      this.#check(this.#call("pbgen_output_shapes", this.#engine, this.#shapes(take, shapes), made));
      return this.#readShapes(made, count);
    });
  }

  /** Each layer's multiply-adds for one image. */
  operations(shapes) {
    return this.#within((take) => {
      const count = this.#call("pbgen_layer_count", this.#engine);
      const found = take(8 * count);
      this.#check(this.#call("pbgen_layer_operations", this.#engine, this.#shapes(take, shapes), found));
      return Array.from(new BigUint64Array(this.#c.memory.buffer, found, count), Number);
    });
  }

  /**
   * Makes `batch` images of all inputs' numbers, Float32Arrays, into those of `outputs`. Returns each layer's seconds
   * where these are asked for.
   */
  run(inputs, shapes, batch, outputs, timed = false) {
    return this.#within((take) => {
      const given = this.#arrays(take, inputs, true);
      const made = this.#arrays(take, outputs, false);
      const sizes = this.#shapes(take, shapes);
      const count = timed ? this.#call("pbgen_layer_count", this.#engine) : 0;
      const seconds = take(8 * count);
      const call = [this.#engine, given.list, sizes, batch, made.list];
      this.#check(timed ? this.#call("pbgen_time_layers", ...call, seconds) : this.#call("pbgen_run", ...call));
      this.#readArrays(made.places, outputs);
      return Array.from(new Float64Array(this.#c.memory.buffer, seconds, count));
    });
  }

  /** The same of one image, tile by tile. */
  runTiles(inputs, shapes, tile, outputs, progress) {
    this.#within((take) => {
      const given = this.#arrays(take, inputs, true);
      const made = this.#arrays(take, outputs, false);
      const sizes = this.#shapes(take, shapes);
      const count = this.#call("pbgen_tile_count", this.#engine, sizes, tile);
      if (!count) throw new Error(this.#error());
      for (let i = 0; i < count; ++i) {
        this.#check(this.#call("pbgen_run_tile", this.#engine, given.list, sizes, tile, i, made.list));
        progress(i + 1, count);
      }
      this.#readArrays(made.places, outputs);
    });
  }

  /** Numbers first .. first + count - 1 of those that `seed` begins; both are BigInts. */
  draw(kind, seed, first, count) {
    return this.#within((take) => {
      const place = take(4 * count);
      this.#call("pbgen_draw", NOISE.indexOf(kind), seed, first, count, place);
      return this.#floats(place, count).slice();
    });
  }

  // Memory. A call may let it grow, which leaves older views empty: each is made when it is needed.

  #within(use) {
    const taken = [];
    const take = (bytes) => {
      const place = this.#call("malloc", Math.max(bytes, 1)) >>> 0;
      if (!place) throw new Error(`no memory for ${bytes} bytes; give fewer or smaller inputs at once`);
      taken.push(place);
      return place;
    };
    try {
      return use(take);
    } finally {
      if (!this.#stopped) for (const place of taken) this.#c.free(place);
    }
  }

  #bytes(place, count) {
    return new Uint8Array(this.#c.memory.buffer, place, count);
  }

  #words(place, count) {
    return new Uint32Array(this.#c.memory.buffer, place, count);
  }

  #floats(place, count) {
    return new Float32Array(this.#c.memory.buffer, place, count);
  }

  #text(place) {
    const bytes = this.#bytes(place, this.#c.memory.buffer.byteLength - place);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  #shapes(take, shapes) {
    shapes.forEach(checkShape);
    const place = take(shapes.length * SHAPE_BYTES);
    const words = this.#words(place, (shapes.length * SHAPE_BYTES) / 4).fill(0);
    shapes.forEach((shape, i) => words.set([shape.length, ...shape], i * (1 + MAX_RANK)));
    return place;
  }

  #readShapes(place, count) {
    return Array.from({ length: count }, (_, i) => this.#shape(place + i * SHAPE_BYTES));
  }

  #shape(place) {
    const [rank, ...dims] = this.#words(place, 1 + MAX_RANK);
    return dims.slice(0, rank);
  }

  // Room for arrays of numbers, and the list of pointers that a call takes.
  #arrays(take, arrays, fill) {
    const places = arrays.map((array) => take(4 * array.length));
    const list = take(4 * arrays.length);
    this.#words(list, arrays.length).set(places);
    if (fill) arrays.forEach((array, i) => this.#floats(places[i], array.length).set(array));
    return { list, places };
  }

  #readArrays(places, arrays) {
    arrays.forEach((array, i) => array.set(this.#floats(places[i], array.length)));
  }

  #list(count, item) {
    return Array.from({ length: this.#call(count, this.#engine) }, (_, i) => item(i));
  }

  #value(call, i) {
    return this.#within((take) => {
      const place = take(VALUE_BYTES);
      this.#call(call, place, this.#engine, i);
      const shape = this.#shape(place + 4).map((size) => size || null);
      const [integer, noise] = this.#words(place + 4 + SHAPE_BYTES, 2);
      return { name: this.#text(this.#words(place, 1)[0]), shape, integer: integer !== 0, noise: NOISE[noise] };
    });
  }

  #layer(i) {
    return this.#within((take) => {
      const place = take(LAYER_BYTES);
      this.#call("pbgen_layer_info", place, this.#engine, i);
      const [name, kernel, bytes, , bits] = this.#words(place, LAYER_BYTES / 4).slice();
      return { name: this.#text(name), kernel: this.#text(kernel), weightBytes: bytes, bits };
    });
  }

  // Calls and their errors.

  // What the engine refuses ends in a trap, with a line that says why: it goes on if the stack is as it was. A trap
  // without a word is the engine's own fault, and its end.
  #call(name, ...parameters) {
    if (this.#stopped) throw new Error(this.#stopped);
    const stack = this.#c.__stack_pointer;
    const top = stack.value;
    try {
      return this.#c[name](...parameters);
    } catch (trap) {
      stack.value = top;
      const line = this.#error();
      if (line) throw new Error(line);
      this.#stopped = `the engine stopped (${trap.message}) and must be loaded again`;
      throw new Error(this.#stopped);
    }
  }

  #check(failure) {
    if (failure) throw new Error(this.#error());
  }

  #error() {
    return this.#text(this.#c.pbgen_error());
  }
}

// What 32 bits do not hold would become another size.
function checkShape(shape) {
  const sizes = Array.isArray(shape) && shape.length <= MAX_RANK;
  if (sizes && shape.every((size) => Number.isInteger(size) && size >= 0 && size < 2 ** 32)) return;
  throw new Error(`shape ${JSON.stringify(shape)}: must be a list of at most ${MAX_RANK} integers below 2^32`);
}
