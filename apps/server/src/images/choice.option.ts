import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { comparesFaces, findsFaces } from '@app/faces';
import type { PictureOptions } from './images.dto';
import type { UserPictureOptions } from './user.images.dto';

export type ChoiceOptions = Pick<
  UserPictureOptions,
  'candidates' | 'all_candidates' | 'min_likeness' | 'require_face'
>;

type Settings = Pick<Config, 'FACE_DETECTION' | 'FACE_DESCRIPTORS' | 'MAX_IMAGES'>;

/** What of it a job carries. Throws where the service cannot do it, or not with `n`. */
export function choiceOf(options: ChoiceOptions, { n = 1 }: Pick<PictureOptions, 'n'>, config: Settings) {
  const { candidates = 1, min_likeness: minLikeness, require_face: requireFace = false } = options;
  const { all_candidates: allCandidates = false } = options;
  const chooses = candidates > 1 ? 'candidates' : minLikeness !== undefined ? 'min_likeness' : undefined;
  if (candidates > config.MAX_IMAGES)
    throw unexpected(
      'candidates',
      `at most ${config.MAX_IMAGES} (MAX_IMAGES) for candidates but received ${candidates}`,
    );
  if (allCandidates && candidates < 2)
    throw unexpected('candidates', `candidates of 2 or more with all_candidates but received ${candidates}`);
  if (chooses && n > 1) throw unexpected('n', `n of 1 with ${chooses} but received ${n}`);
  if (chooses && !comparesFaces(config))
    throw disabled(chooses, 'does not compare faces (FACE_DETECTION, FACE_DESCRIPTORS)');
  if (requireFace && !findsFaces(config))
    throw disabled('require_face', 'looks for no faces (FACE_DETECTION)');
  return {
    ...(candidates > 1 && { candidates }),
    ...(allCandidates && { allCandidates }),
    ...(minLikeness !== undefined && { minLikeness }),
    ...(requireFace && { requireFace }),
  };
}

const unexpected = (param: string, expected: string) =>
  new ServiceError('invalid_request', `Expected ${expected}`, param);

const disabled = (option: string, why: string) =>
  new ServiceError('faces_disabled', `This service ${why}: leave ${option} out`, option);
