import { readFileSync } from 'node:fs';
import { compileErrors, validate } from '@readme/openapi-parser';
import type { OpenAPIObject } from '@nestjs/swagger';
import { CONTRACT_FILE, contractText } from './contract';

describe('openapi.json', () => {
  let text: string;
  beforeAll(async () => (text = await contractText()));

  it('should be what the code gives', () => {
    // A sentence: Jest's diff of the whole text would hide what to do.
    const same = readFileSync(CONTRACT_FILE, 'utf8') === text;
    expect(same ? '' : 'openapi.json differs from the code: npm run docs:openapi, then commit it').toBe('');
  });

  it('should be the same each time', async () => {
    expect(await contractText()).toBe(text);
  });

  it('should be valid OpenAPI 3.1', async () => {
    const document = JSON.parse(text) as OpenAPIObject;
    expect(document.openapi).toMatch(/^3\.1\./);
    const result = await validate(JSON.parse(text) as Parameters<typeof validate>[0]);
    expect(result.valid ? '' : compileErrors(result)).toBe('');
  });
});
