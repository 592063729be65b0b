/** Numbers, row-major, and their shape with the batch first. */
export interface Tensor {
  data: Float32Array;
  shape: number[];
}

type Numbers = Float32Array | Float64Array | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array
  | Int32Array | Uint32Array | number[];

/** What an input may be: where none of its dimensions is free, the numbers alone do. */
export type TensorLike = Exclude<Numbers, number[]> | { data: Numbers; shape: readonly number[] };

/** Without the batch; a free dimension is null. */
export type Shape = (number | null)[];

/** An input. noise: what is drawn for it unless it is given. number: its place among all inputs of the file. */
export interface Input {
  name: string;
  shape: Shape;
  integer: boolean;
  noise: "normal" | "uniform" | null;
  number: number;
}

export interface Output {
  name: string;
  shape: Shape;
}

/** A layer with weights. bits: of a weight in the file, 1 to 4 of planes of signs, else 16 or 32. */
export interface Layer {
  name: string;
  kernel: string;
  weightBytes: number;
  bits: number;
}

/** A URL, in Node also a file's name, a Response, a Blob, or the bytes. */
export type Source = string | URL | Response | Blob | ArrayBuffer | ArrayBufferView;

export interface LoadOptions {
  /** "float32" (the default), or "int8", which is faster, and the images differ a little. */
  activations?: "float32" | "int8";
  /** The engine's module, where it is not beside this file. */
  wasm?: Exclude<Source, Response | Blob> | WebAssembly.Module;
}

export interface RunOptions {
  /** Of the noise that the generator draws: 0 to 2^64 - 1, a bigint from 2^53 on; 0 by default. */
  seed?: number | bigint;
  /** Tensors by the names in `noise`, to be taken in place of what would be drawn. */
  noise?: Record<string, TensorLike>;
}

export interface TileOptions extends RunOptions {
  /** About how many pixels of the inputs, along each free dimension, a tile makes; 256 by default. */
  tile?: number;
  /** Called with the tiles done and their number. */
  onProgress?: (done: number, tiles: number) => void;
}

export interface DrawOptions {
  count?: number;
  seed?: number | bigint;
  first?: number;
}

/** What both engines say of a generator. */
export interface Described {
  readonly activations: "float32" | "int8";
  /** Which module runs: with relaxed SIMD, without, or the one that was given. */
  readonly simd: "relaxed" | "simd128" | "given";
  /** What a call takes, in its order. */
  readonly inputs: Input[];
  /** What is drawn from the seed of a call, unless it is given. */
  readonly noise: Input[];
  /** What a call makes. */
  readonly outputs: Output[];
  /** Shape of the input; a list of shapes where there are several. */
  readonly inputShape: Shape | Shape[];
  readonly outputShape: Shape | Shape[];
  /** The layers with weights, in the order in which they run. */
  readonly layers: Layer[];
  /** Bytes that the engine holds: packed weights, and the buffers it keeps for calls; in a worker, as of the last call. */
  readonly residentBytes: number;

  /** Makes images. Resolves to a tensor, or to a list of them where the generator has several outputs. */
  run<Made extends Tensor | Tensor[] = Tensor>(inputs: TensorLike | TensorLike[], options?: RunOptions): Promise<Made>;
  /** The same in memory that a tile bounds, beside inputs and outputs. Rejects where the network is not local. */
  tiled<Made extends Tensor | Tensor[] = Tensor>(inputs: TensorLike | TensorLike[], options?: TileOptions): Promise<Made>;
  /** As `run`, and the seconds that each layer took, by its name. */
  timeLayers<Made extends Tensor | Tensor[] = Tensor>(inputs: TensorLike | TensorLike[], options?: RunOptions): Promise<{
    outputs: Made;
    seconds: Record<string, number>;
  }>;
}

/** A packed generator, loaded and ready to make images. What is wrong is told by an Error of one line. */
export interface Engine extends Described {}
export class Engine {
  static load(source: Source, options?: LoadOptions): Promise<Engine>;
  private constructor();

  /** The outputs' shapes for inputs of these shapes, without the batch; one shape where there is one output. */
  outputShapeFor(...shapes: number[][]): number[] | number[][];
  /** Multiply-adds of each layer, by its name, for one image of inputs of these shapes. */
  operations(...shapes: number[][]): Record<string, number>;
  /** All inputs by name for `count` images, number `first` of the seed's on. */
  draw(shapes: number[][], options?: DrawOptions): Record<string, Tensor>;
  /** Frees the engine's memory; it can do nothing after that. */
  close(): void;
}
