import { ServiceError } from '@app/errors';
import type { Capabilities } from '@app/jobs';
import { DEFAULT_IDENTITY_STRENGTH } from '@app/models/family';
import type { PictureIntent } from './picture.intent';
import type { UserPictureOptions } from './user.images.dto';

export type IdentityOptions = Pick<UserPictureOptions, 'identity' | 'identity_strength' | 'ip_adapter_scale'>;

const PHOTO_MAKER = 'photomaker';

/**
 * How strongly PhotoMaker heeds the reference picture; undefined: the IP-Adapter gets it. Throws where what is asked for is
 * not there, or an option is of the other one.
 */
export function photoMakerStrength(
  options: IdentityOptions,
  { route }: Pick<PictureIntent, 'route'>,
  there: Pick<Capabilities, 'hasIpAdapter' | 'hasPhotoMaker'>,
): number | undefined {
  const { identity = 'ip_adapter', identity_strength: strength, ip_adapter_scale: scale } = options;
  if (strength !== undefined && scale !== undefined)
    throw unexpected(
      'ip_adapter_scale',
      'no ip_adapter_scale beside identity_strength: each is of another method',
    );
  const method = identity === 'auto' ? chosen(options, route, there) : identity;
  if (method === 'ip_adapter') {
    if (strength === undefined) return undefined;
    throw unexpected('identity', `identity "${PHOTO_MAKER}" or "auto" with identity_strength`);
  }
  if (!there.hasPhotoMaker) {
    const sentence = `This service runs without PhotoMaker (PHOTO_MAKER_PATH): leave identity out, or send "ip_adapter"`;
    throw new ServiceError('photo_maker_disabled', sentence, 'identity');
  }
  if (scale !== undefined)
    throw unexpected(
      'ip_adapter_scale',
      `identity_strength, and no ip_adapter_scale, with identity "${PHOTO_MAKER}"`,
    );
  return strength ?? DEFAULT_IDENTITY_STRENGTH;
}

/** What the options are of; else PhotoMaker for photos of people, and the IP-Adapter for avatars, which may be anything. */
function chosen(
  { identity_strength: strength, ip_adapter_scale: scale }: IdentityOptions,
  route: PictureIntent['route'],
  { hasIpAdapter, hasPhotoMaker }: Pick<Capabilities, 'hasIpAdapter' | 'hasPhotoMaker'>,
): 'ip_adapter' | typeof PHOTO_MAKER {
  if (strength !== undefined) return PHOTO_MAKER;
  if (scale !== undefined || !hasPhotoMaker) return 'ip_adapter';
  return route === 'subject' || !hasIpAdapter ? PHOTO_MAKER : 'ip_adapter';
}

const unexpected = (param: string, expected: string) =>
  new ServiceError('invalid_request', `Expected ${expected}`, param);
