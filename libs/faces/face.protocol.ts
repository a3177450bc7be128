/** What the service and the process that looks for faces (apps/faces) say to each other. */

/** RGB, row by row. */
export interface Pixels {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** One look at one picture. They are answered in order. */
export type FaceCommand = Pixels & {
  readonly id: number;
  /** Each face is to have its descriptor. */
  readonly describe?: boolean;
};

/** Numbers that are near each other for two pictures of one person's face: see `likeness`. */
export type Descriptor = readonly number[];

/** A face in pixels of that picture; parts of it may lie outside. */
export interface FoundFace {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** 0..1: how sure the detector is of the place, and the mesh that there is a face in it. */
  readonly boxScore: number;
  readonly meshScore: number;
  /** Degrees: turned in the plane of the picture (180 is upside down), to its left or right, up or down. */
  readonly roll: number;
  readonly yaw: number;
  readonly pitch: number;
  /** Where it was asked for. */
  readonly descriptor?: Descriptor;
}

export type FaceEvent =
  | {
      readonly type: 'found';
      readonly id: number;
      readonly faces: readonly FoundFace[];
      /** Memory of the process, in bytes. */
      readonly memory: number;
    }
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
