import { parseHubReference } from './hub.reference';

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
