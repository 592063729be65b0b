// Does with a module of the core what the Python beside it asks: a line of JSON and bytes, and answers in the same way.
// In JSON, `size` tells how many bytes follow. The C interface is used as pbgen.h has it, with addresses of 32 bits.
import { readFileSync, readSync, writeSync } from "node:fs";

const module = new WebAssembly.Module(readFileSync(process.argv[2]));
let core, engine;

const instantiate = () => {
    core = new WebAssembly.Instance(module, { env: { now: () => performance.now() } }).exports;
    core._initialize();
    engine = 0;
};

const view = () => new DataView(core.memory.buffer);
const bytes = (at, size) => new Uint8Array(core.memory.buffer, at, size);
const number = (at) => view().getUint32(at, true);
const numbers = (at, values) => values.forEach((value, i) => view().setUint32(at + 4 * i, value, true));

const text = (at) => {
    const all = bytes(at);
    return Buffer.from(all.subarray(0, all.indexOf(0))).toString();
};

// Calls use(address) with `size` bytes of memory.
const with_memory = (size, use) => {
    const at = core.malloc(size || 1);
    if (!at) throw Error("malloc");
    try {
        return use(at);
    } finally {
        core.free(at);
    }
};

const failed = () => ({ error: text(core.pbgen_error()) });

const read_shape = (at) => Array.from({ length: number(at) }, (_, i) => number(at + 4 + 4 * i));
// A size may be more than 32 bits can say.
const write_shapes = (at, shapes) =>
    shapes.forEach((shape, i) =>
        numbers(at + 36 * i, [shape.length, ...shape.map((size) => Math.min(size, 2 ** 32 - 1))]),
    );
const count = (shape) => shape.reduce((a, b) => a * b, 1);

const value = (get, i) =>
    with_memory(48, (at) => {
        get(at, engine, i);
        return { name: text(number(at)), shape: read_shape(at + 4) };
    });

const layer = (i) =>
    with_memory(24, (at) => {
        core.pbgen_layer_info(at, engine, i);
        return {
            name: text(number(at)),
            kernel: text(number(at + 4)),
            weight_bytes: number(at + 8),
            bits: number(at + 16),
        };
    });

const list = (count, get) => Array.from({ length: count }, (_, i) => get(i));

const output_shapes = (shapes) => {
    const outputs = core.pbgen_output_count(engine);
    return with_memory(36 * shapes.length, (given) =>
        with_memory(36 * outputs, (found) => {
            write_shapes(given, shapes);
            if (core.pbgen_output_shapes(engine, given, found)) return null;
            return list(outputs, (i) => read_shape(found + 36 * i));
        }),
    );
};

const commands = {
    // `full`: when no memory is left.
    open({ activations, full }, data) {
        if (engine) core.pbgen_close(engine);
        engine = 0;
        engine = with_memory(data.length, (at) => {
            bytes(at, data.length).set(data);
            if (full) for (let size = 2 ** 30; size >= 16; ) if (!core.malloc(size)) size /= 2;
            return core.pbgen_open_memory(at, data.length, 0, activations);
        });
        if (!engine) return failed();
        return {
            inputs: list(core.pbgen_input_count(engine), (i) => value(core.pbgen_input_info, i)),
            layers: list(core.pbgen_layer_count(engine), layer),
        };
    },

    shapes({ shapes }) {
        const outputs = output_shapes(shapes);
        return outputs ? { outputs } : failed();
    },

    run({ shapes, batch }, data) {
        const outputs = output_shapes(shapes);
        if (!outputs) return failed();
        const sizes = outputs.map((shape) => 4 * batch * count(shape)), size = sizes.reduce((a, b) => a + b, 0);
        const pointers = (at, first, all) => numbers(at, all.map((_, i) => first + all.slice(0, i).reduce((a, b) => a + b, 0)));
        return with_memory(data.length + size, (at) =>
            with_memory(36 * shapes.length + 4 * (shapes.length + outputs.length), (given) => {
                bytes(at, data.length).set(data);
                write_shapes(given, shapes);
                const in_at = given + 36 * shapes.length, out_at = in_at + 4 * shapes.length;
                pointers(in_at, at, shapes.map((shape) => 4 * batch * count(shape)));
                pointers(out_at, at + data.length, sizes);
                if (core.pbgen_run(engine, in_at, given, batch, out_at)) return failed();
                return { outputs, data: bytes(at + data.length, size).slice() };
            }),
        );
    },

    memory() {
        return { bytes: core.memory.buffer.byteLength };
    },

    renew() {
        instantiate();
        return {};
    },
};

const read = (size) => {
    const all = Buffer.alloc(size);
    for (let at = 0, got; at < size; at += got) if (!(got = readSync(0, all, at, size - at))) process.exit();
    return all;
};

const read_line = () => {
    let line = "";
    for (let byte; (byte = read(1).toString("latin1")) !== "\n"; ) line += byte;
    return JSON.parse(line);
};

const write = (data) => {
    for (let at = 0; at < data.length; ) at += writeSync(1, data, at);
};

// A call that fails ends in a trap, and pbgen_error() tells why. Without a word it is the core's fault. The stack is as it was.
const call = ({ command, ...request }, data) => {
    const top = core.__stack_pointer.value;
    try {
        return commands[command](request, data);
    } catch (error) {
        core.__stack_pointer.value = top;
        const said = text(core.pbgen_error());
        if (said && error instanceof WebAssembly.RuntimeError) return { error: said };
        instantiate();
        return { trap: error.stack };
    }
};

instantiate();
for (;;) {
    const request = read_line(), data = read(request.size ?? 0);
    const { data: result = new Uint8Array(0), ...rest } = call(request, data);
    write(Buffer.from(JSON.stringify({ ...rest, size: result.length }) + "\n"));
    write(result);
}
