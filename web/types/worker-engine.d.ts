import type { Described, DrawOptions, LoadOptions, Source, Tensor } from "./engine.js";

/** What Engine is, in a worker of its own: every method gives a promise, and the page never freezes. */
export interface WorkerEngine extends Described {}
export class WorkerEngine {
  static load(source: Source, options?: LoadOptions): Promise<WorkerEngine>;
  private constructor();

  outputShapeFor(...shapes: number[][]): Promise<number[] | number[][]>;
  operations(...shapes: number[][]): Promise<Record<string, number>>;
  draw(shapes: number[][], options?: DrawOptions): Promise<Record<string, Tensor>>;
  /** Ends the worker; calls that are not done are rejected. */
  close(): void;
}
