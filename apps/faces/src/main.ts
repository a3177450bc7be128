/**
 * The process that looks for faces: one model, one picture at a time, beside the server, whose event loop it never holds
 * up and which outlives its end. It reads no variables, opens no connections and writes no files.
 */
import { constants, setPriority } from 'node:os';
import type { FaceCommand, FaceEvent, FoundFace } from '@app/faces';
import { describing, openHuman, type Human, type HumanFace } from './human';

/** Points of the mesh: the outer corners of both eyes. */
const [RIGHT_EYE, LEFT_EYE] = [33, 263];

const say = (event: FaceEvent): void => void process.send?.(event);
const degrees = (radians: number) => Math.round((radians * 180) / Math.PI);

function describe({ mesh, boxScore, faceScore, rotation, embedding }: HumanFace): FoundFace {
  const xs = mesh.map(([x]) => x);
  const ys = mesh.map(([, y]) => y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  const [right, left] = [mesh[RIGHT_EYE], mesh[LEFT_EYE]];
  return {
    ...{ x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y },
    ...{ boxScore, meshScore: faceScore },
    roll: degrees(Math.atan2(left[1] - right[1], left[0] - right[0])),
    yaw: degrees(rotation?.angle.yaw ?? 0),
    pitch: degrees(rotation?.angle.pitch ?? 0),
    ...(embedding && embedding.length > 0 && { descriptor: [...embedding] }),
  };
}

async function look({ id, pixels, width, height, describe: describes = false }: FaceCommand): Promise<void> {
  const detector = await human;
  const picture = detector.tf.tensor(pixels, [height, width, 3], 'int32');
  try {
    const { face, error } = await detector.detect(picture, describing(describes));
    if (error) throw new Error(error);
    const faces = face.filter(({ mesh }) => mesh.length > LEFT_EYE).map(describe);
    say({ type: 'found', id, faces, memory: process.memoryUsage.rss() });
  } finally {
    detector.tf.dispose(picture);
  }
}

process.on('disconnect', () => process.exit());
// What waits for a reply of the server comes first.
setPriority(constants.priority.PRIORITY_LOW);
const human: Promise<Human> = openHuman();
human.catch(() => {}); // told with each look
let last = Promise.resolve();
process.on('message', (command: FaceCommand) => {
  last = last
    .then(() => look(command))
    .catch((error: Error) => say({ type: 'failed', id: command.id, message: error.message }));
});
