import type { FaceCommand, FoundFace } from '@app/faces';
import { describing, type Human, type HumanFace } from './human';

/** Points of the mesh: the outer corners of both eyes. */
const [RIGHT_EYE, LEFT_EYE] = [33, 263];

const degrees = (radians: number) => Math.round((radians * 180) / Math.PI);

function toFound({ mesh, boxScore, faceScore, rotation, embedding }: HumanFace): FoundFace {
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

/** The faces of a picture, with their descriptors where these are asked for. The detector keeps none. */
export async function look(
  detector: Human,
  { pixels, width, height, describe = false }: Omit<FaceCommand, 'id'>,
): Promise<FoundFace[]> {
  const picture = detector.tf.tensor(pixels, [height, width, 3], 'int32');
  try {
    const { face, error } = await detector.detect(picture, describing(describe));
    if (error) throw new Error(error);
    const faces = face.filter(({ mesh }) => mesh.length > LEFT_EYE).map(toFound);
    // Made for videos, it keeps what it saw last, of each face, until it sees as many again.
    for (const { embedding } of face) embedding?.fill(0);
    return faces;
  } finally {
    detector.tf.dispose(picture);
  }
}
