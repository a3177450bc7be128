import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from './package.root';

describe(packageRoot.name, () => {
  it('should find the package from the compiled code', async () => {
    const root = await realpath(await mkdtemp(join(tmpdir(), 'package-')));
    const compiled = join(root, 'dist/libs/models');
    await mkdir(compiled, { recursive: true });
    await writeFile(join(root, 'package.json'), '{}');
    expect(packageRoot(compiled)).toBe(root);
    await rm(root, { recursive: true });
  });

  it('should find it from the sources', () => {
    expect(existsSync(join(packageRoot(), 'libs/models/demo/SHA256SUMS'))).toBe(true);
  });

  it('should say when there is none', () => {
    expect(() => packageRoot('/')).toThrow('no package.json above /');
  });
});
