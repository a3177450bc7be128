import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/* Of @vladmandic/human what is used: the package is optional, and so are its types. */

type Point = readonly [x: number, y: number, z?: number];

export interface HumanFace {
  readonly mesh: readonly Point[];
  readonly boxScore: number;
  readonly faceScore: number;
  readonly embedding?: number[];
  readonly rotation?: { readonly angle: { readonly yaw: number; readonly pitch: number } } | null;
}

interface Tensor {
  readonly shape: readonly number[];
}

export interface Human {
  readonly tf: {
    tensor(values: Uint8Array, shape: readonly number[], type: 'int32'): Tensor;
    dispose(tensor: Tensor): void;
  };
  load(): Promise<void>;
  /** Loads what `config` asks for and is not loaded yet. */
  detect(
    picture: Tensor,
    config: object,
  ): Promise<{ readonly face: readonly HumanFace[]; readonly error?: string | null }>;
}

type Module = { readonly Human: new (options: object) => Human };

const OFF = { enabled: false };

/** Of the model that describes faces (FaceRes) the descriptor alone is used: neither age nor gender leave the detector. */
export const describing = (enabled: boolean) => ({
  face: { description: { enabled, skipFrames: 0, skipTime: 0 } },
});

/** Loads the detector and its two models (BlazeFace, FaceMesh), which come with the package. */
export async function openHuman(): Promise<Human> {
  // Its loader fetches models, which knows no file: addresses; and nothing else is to be fetched, ever.
  globalThis.fetch = async (address) => new Response(await readFile(new URL(address)));
  const dist = dirname(require.resolve('@vladmandic/human'));
  // By path: the package's exports hide the build for wasm.
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- a CommonJS file
  const { Human } = require(join(dist, 'human.node-wasm.js')) as Module;
  const human = new Human({
    ...{ backend: 'wasm', debug: false, warmup: 'none', validateModels: false, cacheSensitivity: 0 },
    wasmPath: `${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`,
    modelBasePath: `${pathToFileURL(join(dist, '../models')).href}/`,
    ...{ filter: OFF, gesture: OFF, body: OFF, hand: OFF, object: OFF, segmentation: OFF },
    face: {
      enabled: true,
      // No frames of a video: each picture is looked at anew.
      detector: {
        rotation: true,
        maxDetected: 20,
        minConfidence: 0.2,
        iouThreshold: 0.3,
        skipFrames: 0,
        skipTime: 0,
      },
      mesh: { enabled: true },
      ...{ iris: OFF, emotion: OFF, description: OFF, attention: OFF },
    },
  });
  await human.load();
  return human;
}
