/** npm run docs:openapi — writes openapi.json, which is committed so that reviews see changes of the contract. */
import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { CONTRACT_FILE, contractText } from './contract';

void contractText().then((text) => writeFileSync(CONTRACT_FILE, text));
