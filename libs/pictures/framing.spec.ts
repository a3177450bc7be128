import { aroundFace } from './framing';

const PICTURE = { width: 1000, height: 600 };

describe(aroundFace.name, () => {
  it.each(['face', 'shoulders'] as const)('should have the face in the middle: %s', (framing) => {
    const face = { x: 460, y: 250, width: 80, height: 100 };
    const side = framing === 'face' ? 160 : 280;
    expect(aroundFace(face, PICTURE, framing)).toEqual({
      x: 500 - side / 2,
      y: 300 - side / 2,
      ...{ width: side, height: side },
    });
  });

  it('should show less around a face near the border, and keep it in the middle', () => {
    const face = { x: 700, y: 60, width: 80, height: 100 };
    expect(aroundFace(face, PICTURE, 'shoulders')).toEqual({ x: 630, y: 0, width: 220, height: 220 });
  });

  it('should move inside with a face at the border', () => {
    const face = { x: 0, y: 500, width: 60, height: 100 };
    expect(aroundFace(face, PICTURE, 'shoulders')).toEqual({ x: 0, y: 440, width: 160, height: 160 });
  });

  it('should be an oblong where the picture is narrower than the square', () => {
    const picture = { width: 100, height: 400 };
    const face = { x: 10, y: 150, width: 80, height: 100 };
    expect(aroundFace(face, picture, 'shoulders')).toEqual({ x: 0, y: 120, width: 100, height: 160 });
    expect(aroundFace({ x: 0, y: 0, ...picture }, picture, 'face')).toEqual({ x: 0, y: 0, ...picture });
  });
});
