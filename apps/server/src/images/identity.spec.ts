import { photoMakerStrength, type IdentityOptions } from './identity';

const both = { hasIpAdapter: true, hasPhotoMaker: true };
const adapter = { hasIpAdapter: true, hasPhotoMaker: false };
const maker = { hasIpAdapter: false, hasPhotoMaker: true };

describe(photoMakerStrength.name, () => {
  const resolve = (options: IdentityOptions, route: 'memory' | 'subject', there = both) =>
    photoMakerStrength(options, { route }, there);

  it.each<[IdentityOptions, 'memory' | 'subject', typeof both, number | undefined]>([
    [{}, 'subject', both, undefined],
    [{ identity: 'ip_adapter', ip_adapter_scale: 0.3 }, 'subject', both, undefined],
    [{ identity: 'photomaker' }, 'subject', both, 0.8],
    [{ identity: 'photomaker', identity_strength: 0 }, 'memory', maker, 0],
    [{ identity: 'auto' }, 'subject', both, 0.8],
    [{ identity: 'auto' }, 'memory', both, undefined],
    [{ identity: 'auto' }, 'subject', adapter, undefined],
    [{ identity: 'auto' }, 'memory', maker, 0.8],
    [{ identity: 'auto', ip_adapter_scale: 0.5 }, 'subject', both, undefined],
    [{ identity: 'auto', identity_strength: 0.5 }, 'memory', both, 0.5],
  ])('should make of %j for %s with %j: %s', (options, route, there, strength) =>
    expect(resolve(options, route, there)).toBe(strength),
  );

  it.each<[IdentityOptions, typeof both, string, string, RegExp]>([
    [{ identity: 'photomaker' }, adapter, 'photo_maker_disabled', 'identity', /runs without PhotoMaker/],
    [
      { identity: 'auto', identity_strength: 1 },
      adapter,
      'photo_maker_disabled',
      'identity',
      /PHOTO_MAKER_PATH/,
    ],
    [
      { identity_strength: 1 },
      both,
      'invalid_request',
      'identity',
      /"photomaker" or "auto" with identity_strength/,
    ],
    [
      { identity: 'photomaker', ip_adapter_scale: 1 },
      both,
      'invalid_request',
      'ip_adapter_scale',
      /no ip_adapter_scale/,
    ],
    [
      { identity: 'auto', ip_adapter_scale: 1, identity_strength: 1 },
      both,
      'invalid_request',
      'ip_adapter_scale',
      /each is of another method/,
    ],
  ])('should refuse %j with %j', (options, there, code, param, message) => {
    const attempt = () => resolve(options, 'subject', there);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ code, param }) as Error);
  });
});
