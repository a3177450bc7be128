/**
 * `npm run docs:openapi` writes openapi.json, which is committed so that reviews see changes of the contract; with `--check`
 * it only says whether the file is what the code gives. Of the built service: a comment of a DTO is text of the document.
 */
import 'reflect-metadata';
import { readFileSync, writeFileSync } from 'node:fs';
import { CONTRACT_FILE, contractText } from './contract';

void contractText().then((text) => {
  if (!process.argv.includes('--check')) return writeFileSync(CONTRACT_FILE, text);
  if (readFileSync(CONTRACT_FILE, 'utf8') === text) return;
  console.error('openapi.json differs from the code: npm run docs:openapi, then commit it');
  process.exitCode = 1;
});
