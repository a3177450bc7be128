import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const WRITE = join(__dirname, '../../dist/apps/server/src/contract.write.js');

describe('openapi.json', () => {
  it('should be what the code gives', () => {
    const { status, stderr } = spawnSync(process.execPath, [WRITE, '--check'], { encoding: 'utf8' });
    expect({ status, differs: /^openapi\.json.*/m.exec(stderr)?.[0] }).toEqual({
      status: 0,
      differs: undefined,
    });
  });
});
