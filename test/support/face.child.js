'use strict';
/** Stands in for apps/faces in specs about the process. What it does is the first byte of the picture. */
/** @typedef {import('../../libs/faces').FaceCommand} FaceCommand */
/** @typedef {import('../../libs/faces').FaceEvent} FaceEvent */

/** @type {(event: FaceEvent) => void} */
const say = (event) => void process.send?.(event);
/** @type {Record<number, (id: number) => void>} */
const DO = {
  // Nothing is found, and it holds little,
  0: (id) => say({ type: 'found', id, faces: [], memory: 1 }),
  // or much.
  1: (id) => say({ type: 'found', id, faces: [], memory: 1e9 }),
  2: () => process.abort(),
  // Alive, and it never answers.
  3() {},
  4: (id) => say({ type: 'failed', id, message: 'no kernel' }),
};
process.on('message', (/** @type {FaceCommand} */ { id, pixels }) => DO[pixels[0]](id));
process.on('disconnect', () => process.exit());
