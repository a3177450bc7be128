import { JOB_VERSION, versionFor } from './job.record';

describe(versionFor.name, () =>
  it.each([
    [{ width: 1024, height: 1024 }, 1],
    [{ width: 904, height: 1024 }, 4],
    [{ width: 1024, height: 904 }, 4],
    [{ width: 64, height: 64, clipSkip: 1 }, 2],
    [{ width: 64, height: 64, referenceKey: 'inputs/x.png', photos: [2] }, 1],
    [{ width: 64, height: 64, moreReferenceKeys: ['inputs/x-2.png'] }, 5],
    [{ width: 64, height: 64, candidates: 2 }, 5],
  ])('should leave the job %j to workers of version %d and newer', (picture, version) => {
    expect(versionFor(picture)).toBe(version);
    expect(version).toBeLessThanOrEqual(JOB_VERSION);
  }),
);
