// Which size of an input a network takes, and where its output lies on it.

const PROBES = [64, 96, 128, 256, 1024, 4096];

/**
 * How an output hangs on the only input, along each of its free axes: { scale, margin }. A network without padding at
 * its edges leaves a margin out, so many pixels of the input at each side, which one has to add before.
 */
export async function geometry(engine) {
  const shape = engine.inputShape;
  const [small, large] = await fitting(
    engine,
    PROBES.map((size) => [size, 2 * size]),
  );
  return shape.map((length, axis) => {
    if (length !== null || axis === 0) return { scale: 1, margin: 0 };
    const scale = (large.out[axis] - small.out[axis]) / (large.given[axis] - small.given[axis]);
    const lost = scale * small.given[axis] - small.out[axis];
    return { scale, margin: lost > 0 ? Math.ceil(lost / scale / 2) : 0 };
  });
}

/** The largest shape that the network takes, of this size along its free axes, without the margins, or a bit less. */
export async function largest(engine, sizes, margins, step) {
  for (let unit = 1; unit <= step; unit *= 2) {
    const shape = engine.inputShape.map((length, axis) => length ?? Math.max(1, Math.floor(sizes[axis] / unit)) * unit);
    const whole = shape.map((length, axis) => length + 2 * margins[axis]);
    const found = await engine.outputShapeFor(whole).catch(() => null);
    if (found) return shape;
  }
  throw new Error(`the network takes no input of the size ${sizes.slice(1).join(" × ")}; try another`);
}

async function fitting(engine, pairs) {
  for (const pair of pairs) {
    const found = pair.map(async (size) => {
      const given = engine.inputShape.map((length) => length ?? size);
      return { given, out: await engine.outputShapeFor(given) };
    });
    const both = await Promise.all(found).catch(() => null);
    if (both) return both;
  }
  throw new Error("the network takes none of the usual sizes; run it by pbgen run");
}
