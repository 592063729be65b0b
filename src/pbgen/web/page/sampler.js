// Latent vectors of a seed, and what the generator makes of one.

/**
 * All that is drawn for a picture, the generator's inputs and its noise, is one vector here: a Float32Array. What is
 * given as integers is not drawn but asked of `labels`, a function of the input's name.
 */
export class Sampler {
  #session;
  #labels;
  #drawn; // names of what is drawn, in the vector's order
  #shapes = {}; // of these

  constructor(session, labels) {
    const { inputs, noise } = session.engine;
    this.#session = session;
    this.#labels = labels;
    this.#drawn = [...inputs, ...noise].filter(({ integer }) => !integer).map(({ name }) => name);
  }

  /** Vectors first .. first + count - 1 of a seed. */
  async draw(seed, first, count) {
    const shapes = this.#session.engine.inputs.map(({ shape }) => shape);
    const tensors = await this.#session.use((engine) => engine.draw(shapes, { seed, first, count }));
    for (const name of this.#drawn) this.#shapes[name] = tensors[name].shape.slice(1);
    return Array.from({ length: count }, (_, i) =>
      joined(this.#drawn.map((name) => part(tensors[name].data, i, count))),
    );
  }

  /** What the generator makes of a vector: its first output. */
  async make(vector) {
    const { inputs, noise } = this.#session.engine;
    const tensors = this.#apart(vector);
    const given = inputs.map(({ name, shape }) => tensors[name] ?? labelled(shape, this.#labels(name)));
    const drawn = Object.fromEntries(noise.map(({ name }) => [name, tensors[name]]));
    const outputs = await this.#session.run(given, { noise: drawn });
    return Array.isArray(outputs) ? outputs[0] : outputs;
  }

  #apart(vector) {
    let at = 0;
    const next = (shape) => ({ data: vector.subarray(at, (at += size(shape))), shape: [1, ...shape] });
    return Object.fromEntries(this.#drawn.map((name) => [name, next(this.#shapes[name])]));
  }
}

// The same integer everywhere.
function labelled(shape, value) {
  return { data: new Float32Array(size(shape)).fill(value), shape: [1, ...shape] };
}

function part(data, i, count) {
  const each = data.length / count;
  return data.subarray(i * each, (i + 1) * each);
}

function joined(arrays) {
  const whole = new Float32Array(arrays.reduce((length, array) => length + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    whole.set(array, at);
    at += array.length;
  }
  return whole;
}

function size(shape) {
  return shape.reduce((product, length) => product * length, 1);
}
