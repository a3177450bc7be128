import type { Config } from '@app/config';

/** Packages that are optional: `npm ci` goes on where one of them cannot be had, and so does the service. */
const PACKAGES = [
  '@vladmandic/human',
  '@tensorflow/tfjs-backend-wasm',
  '@tensorflow/tfjs-converter',
  '@tensorflow/tfjs-core',
];

/** Whether the detector is there. */
export function isInstalled(): boolean {
  try {
    for (const name of PACKAGES) require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

type Switches = Pick<Config, 'FACE_DETECTION' | 'FACE_DESCRIPTORS'>;

/** Whether anybody looks for faces here. */
export const findsFaces = ({ FACE_DETECTION }: Switches): boolean => FACE_DETECTION && isInstalled();

/** Whether faces are compared. */
export const comparesFaces = (config: Switches): boolean => config.FACE_DESCRIPTORS && findsFaces(config);
