import { randomBytes } from 'node:crypto';
import { JOB_VERSION, type JobDraft, type JobRecord } from '@app/jobs';
import type { PictureJob } from '../../libs/jobs/picture.job';

type Overrides = Omit<Partial<JobDraft>, 'picture'> & { readonly picture?: Partial<PictureJob> };

/** A job as it is handed to JobStore.accept: a caller's that can be run for an hour, of cost 1. */
export function draft(overrides: Overrides = {}): JobDraft {
  const id = overrides.id ?? randomBytes(12).toString('hex');
  const createdAt = overrides.createdAt ?? Date.now();
  return {
    version: JOB_VERSION,
    id,
    caller: 'alice',
    state: 'queued',
    createdAt,
    deadlineAt: createdAt + 3_600_000,
    attempts: 0,
    crashes: 0,
    cost: 1,
    ...overrides,
    picture: {
      id,
      route: 'generations',
      prompt: 'a fox on a blue background',
      negativePrompt: '',
      width: 1024,
      height: 1024,
      steps: 30,
      guidanceScale: 5,
      seed: 7,
      loras: [],
      key: `generated/${id}.png`,
      ipAdapterScale: 0.6,
      ...overrides.picture,
    },
  };
}

/** A job as the store keeps it. */
export function record(
  overrides: Overrides & { readonly [Name in keyof JobRecord]?: unknown } = {},
): JobRecord {
  const { cost, ...job } = draft(overrides);
  return { ...job, place: { seq: 1, start: 0, finish: cost } };
}
