import { parseHubAddress, parseHubReference } from './hub.reference';

describe(parseHubReference.name, () => {
  it.each([
    ['owner/name', { repo: 'owner/name', revision: 'main', path: undefined }],
    ['owner/name@refs/pr/1', { repo: 'owner/name', revision: 'refs/pr/1', path: undefined }],
    ['h94/IP-Adapter:a/b.safetensors', { repo: 'h94/IP-Adapter', revision: 'main', path: 'a/b.safetensors' }],
    ['o/n.1@v1.0:b.safetensors', { repo: 'o/n.1', revision: 'v1.0', path: 'b.safetensors' }],
  ])('should read %s', (text, reference) => {
    expect(parseHubReference(text)).toEqual(reference);
  });

  it.each([
    'name',
    '/owner/name',
    './owner/name',
    '../name',
    'a/b/c',
    'o/n@../x',
    'o/n:../../etc/passwd',
    'o/n:/etc',
    'o/n:',
    '',
  ])('should not take %j', (text) => {
    expect(parseHubReference(text)).toBeUndefined();
  });
});

describe(parseHubAddress.name, () => {
  const HUB = 'https://huggingface.co/owner/name';
  it.each([
    [HUB, undefined, 'main'],
    [`${HUB}/`, undefined, 'main'],
    [`${HUB}/tree/v1`, undefined, 'v1'],
    [`${HUB}/resolve/main/a/b.safetensors?download=true`, 'a/b.safetensors', 'main'],
    [`${HUB}/blob/refs%2Fpr%2F1/b%20c.safetensors`, 'b c.safetensors', 'refs/pr/1'],
  ])('should read %s', (text, path, revision) => {
    expect(parseHubAddress(text)).toEqual({ repo: 'owner/name', revision, path });
  });

  it.each([
    'https://huggingface.co/owner',
    `${HUB}/discussions/3`,
    `${HUB}/tree/main/unet`,
    `${HUB}/resolve/main`,
    `${HUB}/resolve/main/../../x`,
    `${HUB}/resolve/%2e%2e/x`,
    `${HUB}/resolve/%zz/x`,
    'owner/name',
  ])('should not take %s', (text) => {
    expect(parseHubAddress(text)).toBeUndefined();
  });
});
