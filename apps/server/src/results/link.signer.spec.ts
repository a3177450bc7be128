import { LinkSigner } from './link.signer';

const KEY = 'generated/ann/memory_0123456789abcdef01234567.png';
const NOW = 1_767_225_600;

describe(LinkSigner.name, () => {
  const signer = new LinkSigner('a secret of at least 32 characters', 600);
  const query = (link: string) => Object.fromEntries(new URLSearchParams(link));

  beforeEach(() => {
    jest.useFakeTimers({ now: NOW * 1000 });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('should open what it signed until the time is over, and not a second longer', () => {
    const signed = query(signer.sign(KEY));
    expect(signed.expires).toBe(String(NOW + 600));
    expect(signer.secondsLeft(KEY, signed)).toBe(600);
    jest.setSystemTime((NOW + 599) * 1000 + 999);
    expect(signer.secondsLeft(KEY, signed)).toBe(1);
    jest.setSystemTime((NOW + 600) * 1000);
    expect(signer.secondsLeft(KEY, signed)).toBeUndefined();
  });

  it('should give a link later on that lasts longer', () => {
    const early = query(signer.sign(KEY));
    jest.setSystemTime((NOW + 86_400) * 1000);
    const late = query(signer.sign(KEY));
    expect(signer.secondsLeft(KEY, early)).toBeUndefined();
    expect(signer.secondsLeft(KEY, late)).toBe(600);
  });

  it.each([
    KEY.toUpperCase(),
    KEY.replace('ann', 'anna'),
    KEY.replace('ann', 'a\u0144n'),
    KEY.replaceAll('/', '%2F'),
    KEY.replace('/', '/./'),
    KEY.replace('/', '//'),
    `/${KEY}`,
    `${KEY}/`,
    `${KEY}\0`,
    `${KEY}\n`,
    KEY.slice(0, -4),
    '',
  ])('should not open %j with the signature of another key', (other) => {
    expect(signer.secondsLeft(other, query(signer.sign(KEY)))).toBeUndefined();
  });

  it('should not open with what was altered, is missing, or came twice', () => {
    const { expires, signature } = query(signer.sign(KEY));
    // The last character of 32 bytes in base64url has two bits that mean nothing: the bytes stay the same.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const twin = signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.at(-1)!) ^ 1];
    expect(Buffer.from(twin, 'base64url')).toEqual(Buffer.from(signature, 'base64url'));
    for (const wrong of [
      {},
      { expires },
      { signature },
      { expires: String(Number(expires) + 1), signature },
      { expires: `0${expires}`, signature },
      { expires: `${expires}.0`, signature },
      { expires: ` ${expires}`, signature },
      { expires: Number(expires), signature },
      { expires, signature: '' },
      { expires, signature: `${signature}=` },
      { expires, signature: `${signature} ` },
      { expires, signature: signature.toLowerCase() },
      { expires, signature: signature.slice(1) },
      { expires, signature: 'é'.repeat(signature.length) },
      { expires, signature: twin },
      { expires: [expires, expires], signature },
      { expires, signature: [signature, signature] },
      { expires: { 0: expires }, signature },
    ]) {
      expect([wrong, signer.secondsLeft(KEY, wrong)]).toEqual([wrong, undefined]);
    }
    expect(signer.secondsLeft(KEY, { expires, signature, also: 'this' })).toBe(600);
  });

  it('should not open what another secret signed, and tell none of it', () => {
    const other = new LinkSigner(Buffer.alloc(32, 1), 600);
    expect(signer.secondsLeft(KEY, query(other.sign(KEY)))).toBeUndefined();
    expect(other.secondsLeft(KEY, query(other.sign(KEY)))).toBe(600);
    // HMAC-SHA256 in base64url: 43 characters, whatever the secret is.
    expect(query(signer.sign(KEY)).signature).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });
});
