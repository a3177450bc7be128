import { faceWarnings } from './face.warnings';

describe(faceWarnings.name, () => {
  const face = {
    ...{ x: 100, y: 100, width: 250, height: 250, score: 1, sharpness: 4 },
    ...{ roll: 0, yaw: 0, pitch: 0 },
  };
  const of = (people: number) => ({ width: 800, height: 800, faces: Array<typeof face>(people).fill(face) });

  it('should say what the model sees of the picture, unless a caller has said it', () => {
    const [none, two] = [of(0), of(2)];
    expect([none, two].flatMap((sight) => faceWarnings('photo', sight, 'face'))).toEqual([
      'no face found; the part of the picture that draws the eye is used',
      '2 people; the largest face is used',
    ]);
    expect([none, two].flatMap((sight) => faceWarnings('photo', sight, 'caller'))).toEqual([
      'no face found',
      '2 people',
    ]);
  });
});
