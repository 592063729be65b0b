import type { Described, DrawOptions, LoadOptions, Source, Tensor } from "./engine.js";

/** What Engine is, in a worker of its own: every method gives a promise, and the page never freezes. */
export class WorkerEngine implements Described {
  static load(source: Source, options?: LoadOptions): Promise<WorkerEngine>;
  private constructor();

  readonly activations: Described["activations"];
  readonly simd: Described["simd"];
  readonly inputs: Described["inputs"];
  readonly noise: Described["noise"];
  readonly outputs: Described["outputs"];
  readonly inputShape: Described["inputShape"];
  readonly outputShape: Described["outputShape"];
  readonly layers: Described["layers"];
  /** As of the last call. */
  readonly residentBytes: number;
  run: Described["run"];
  tiled: Described["tiled"];
  timeLayers: Described["timeLayers"];

  outputShapeFor(...shapes: number[][]): Promise<number[] | number[][]>;
  operations(...shapes: number[][]): Promise<Record<string, number>>;
  draw(shapes: number[][], options?: DrawOptions): Promise<Record<string, Tensor>>;
  /** Ends the worker; calls that are not done are rejected. */
  close(): void;
}
