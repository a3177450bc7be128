import { readFileSync } from 'node:fs';
import { compileErrors, validate } from '@readme/openapi-parser';
import { CONTRACT_FILE } from './contract';

describe('openapi.json', () => {
  it('should be valid OpenAPI 3.1', async () => {
    const document = JSON.parse(readFileSync(CONTRACT_FILE, 'utf8')) as Parameters<typeof validate>[0];
    expect(document).toMatchObject({ openapi: expect.stringMatching(/^3\.1\./) as string });
    const result = await validate(document);
    expect(result.valid ? '' : compileErrors(result)).toBe('');
  });
});
