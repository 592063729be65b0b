// The engine as WebAssembly beside other engines, in one process, one thread, one image at a time, by turns:
//
//     make wasm
//     python benchmarks/web_models.py build/web
//     npm install --prefix build/web onnxruntime-web @tensorflow/tfjs @tensorflow/tfjs-backend-wasm
//     taskset -c 0 node benchmarks/web.mjs build/web [rounds]
//
// Peers that are not installed are left out. Prints Markdown: median, and the tenth and ninetieth of a hundred, in ms; the
// least time of each layer, and its rate in 10^9 multiply-adds/s. Node 20 wants --experimental-wasm-relaxed-simd.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { loadavg } from "node:os";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = resolve(process.argv[2] ?? "build/web"), rounds = Number(process.argv[3] ?? 100);
const modules = resolve(dirname(fileURLToPath(import.meta.url)), "../src/pbgen/web");
const latent = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i * i));
const pixels = 3 * 64 * 64;

const nth = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];

// The C interface of a module (core/include/pbgen.h), for one latent vector and one picture.
class Module {
    constructor(file, int8) {
        const module = new WebAssembly.Module(readFileSync(resolve(modules, file)));
        this.core = new WebAssembly.Instance(module, { env: { now: () => performance.now() } }).exports;
        const core = this.core, data = readFileSync(resolve(folder, "dcgan64.safetensors"));
        core._initialize();
        const at = core.malloc(data.length);
        new Uint8Array(core.memory.buffer, at).set(data);
        this.engine = core.pbgen_open_memory(at, data.length, 1, int8 ? 1 : 0);
        core.free(at);
        this.layers = core.pbgen_layer_count(this.engine);
        this.image = core.malloc(4 * pixels);
        const input = core.malloc(4 * latent.length);
        new Float32Array(core.memory.buffer, input).set(latent);
        this.pointers = core.malloc(8);
        new Uint32Array(core.memory.buffer, this.pointers).set([input, this.image]);
        this.seconds = core.malloc(8 * this.layers);
        this.least = Array(this.layers).fill(Infinity);
    }

    async run() {
        if (this.core.pbgen_run(this.engine, this.pointers, 0, 1, this.pointers + 4)) throw Error("pbgen_run");
    }

    time_layers() {
        this.core.pbgen_time_layers(this.engine, this.pointers, 0, 1, this.pointers + 4, this.seconds);
        const seconds = new Float64Array(this.core.memory.buffer, this.seconds, this.layers);
        this.least = this.least.map((least, i) => Math.min(least, seconds[i]));
    }

    rates() {
        this.core.pbgen_layer_operations(this.engine, 0, this.seconds);
        const operations = new BigUint64Array(this.core.memory.buffer, this.seconds, this.layers);
        return this.least.map((seconds, i) => [seconds * 1e3, Number(operations[i]) / seconds / 1e9]);
    }

    get megabytes() {
        return this.core.memory.buffer.byteLength / 1e6;
    }
}

const installed = createRequire(resolve(folder, "package.json"));

// Calls make(name => module); nothing where a package is missing.
const peer = async (name, make) => {
    try {
        return [[name, await make(async (package_) => import(pathToFileURL(installed.resolve(package_))))]];
    } catch (error) {
        console.error(`${name} is left out: ${String(error.message ?? error).split("\n")[0]}`);
        return [];
    }
};

const onnxruntime = (file) => async (load) => {
    const loaded = await load("onnxruntime-web"), ort = loaded.default ?? loaded;
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(readFileSync(resolve(folder, file)), { executionProviders: ["wasm"] });
    return { run: () => session.run({ z: new ort.Tensor("float32", latent, [1, 100]) }) };
};

// The same layers, for it reads no ONNX.
const tfjs = async (load) => {
    const tf = await load("@tensorflow/tfjs"), wasm = await load("@tensorflow/tfjs-backend-wasm");
    wasm.setWasmPaths(resolve(dirname(installed.resolve("@tensorflow/tfjs-backend-wasm")), "../dist") + "/");
    wasm.setThreadsCount?.(1);
    await tf.setBackend("wasm");
    const channels = [100, 1024, 512, 256, 128, 3];
    const kernels = channels.slice(1).map((to, i) => tf.randomNormal([i ? 5 : 4, i ? 5 : 4, to, channels[i]], 0, 0.02));
    const z = tf.tensor(latent, [1, 1, 1, 100]);
    const run = async () => {
        const image = tf.tidy(() =>
            kernels.reduce((x, kernel, i) => {
                const size = 4 << i, made = tf.conv2dTranspose(x, kernel, [1, size, size, channels[i + 1]], i ? 2 : 1, i ? "same" : "valid");
                return i < 4 ? tf.relu(made) : tf.tanh(made);
            }, z),
        );
        await image.data();
        image.dispose();
    };
    return { run };
};

const engines = [];
for (const file of ["pbgen.wasm", "pbgen-relaxed.wasm"])
    for (const int8 of [false, true])
        engines.push(...(await peer(`${file}, ${int8 ? "int8" : "float32"}`, async () => new Module(file, int8))));
engines.push(...(await peer("onnxruntime-web, float32", onnxruntime("dcgan64.onnx"))));
if (existsSync(resolve(folder, "dcgan64-int8.onnx")))
    engines.push(...(await peer("onnxruntime-web, int8", onnxruntime("dcgan64-int8.onnx"))));
engines.push(...(await peer("tfjs, wasm, float32", tfjs)));

const times = new Map(engines.map(([name]) => [name, []]));
for (let round = -3; round < rounds; ++round)
    for (const [name, engine] of engines) {
        const start = performance.now();
        await engine.run();
        if (round >= 0) times.get(name).push(performance.now() - start);
        engine.time_layers?.();
    }

console.log(`Node ${process.version}, ${rounds} rounds, load ${loadavg()[0].toFixed(1)}\n`);
console.log("| | median, ms | 10% | 90% | least | memory, MB |\n|---|---|---|---|---|---|");
for (const [name, engine] of engines) {
    const sorted = times.get(name).sort((a, b) => a - b);
    const columns = [nth(sorted, 0.5), nth(sorted, 0.1), nth(sorted, 0.9), sorted[0]].map((ms) => ms.toFixed(1));
    console.log(`| ${name} | ${columns.join(" | ")} | ${engine.megabytes?.toFixed(1) ?? ""} |`);
}
const ours = engines.filter(([, engine]) => engine.rates);
console.log(`\n| layer | ${ours.map(([name]) => name).join(" | ")} |\n|---|${"---|".repeat(ours.length)}`);
const columns = ours.map(([, engine]) => engine.rates());
for (let layer = 0; layer < columns[0].length; ++layer) {
    const cells = columns.map((rates) => `${rates[layer][0].toFixed(2)} ms, ${rates[layer][1].toFixed(0)} G/s`);
    console.log(`| ${layer + 1} | ${cells.join(" | ")} |`);
}
