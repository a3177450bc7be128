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
