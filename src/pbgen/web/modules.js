// Where the compiled engine lies: beside this file. The inlined build and pages bring it in a file of this name instead.

export const MODULES = {
  relaxed: () => new URL("./pbgen-relaxed.wasm", import.meta.url),
  simd128: () => new URL("./pbgen.wasm", import.meta.url),
};
