/* `node -r ./test/support/typescript.js` runs our TypeScript in a child process of a test, unbuilt. */
/**
 * Parts of Node that its types leave out.
 *
 * @typedef {(this: void, module: { _compile(code: string, file: string): void }, file: string) => void} Extension
 * @typedef {(this: void, request: string, ...rest: unknown[]) => string} Resolve
 * @typedef {{ _resolveFilename: Resolve, _extensions: Record<string, Extension> }} Internals
 */
const { readFileSync } = require('node:fs');
/** @type {Internals} */
const Module = /** @type {any} */ (require('node:module'));
const path = require('node:path');
const { ModuleKind, ScriptTarget, transpileModule } = require('typescript');

const libs = path.join(__dirname, '../../libs');
const resolve = Module._resolveFilename;
Module._resolveFilename = (request, ...rest) => resolve(request.replace(/^@app\//, `${libs}/`), ...rest);

/** @type {Extension} */
Module._extensions['.ts'] = (module, file) => {
  const { outputText } = transpileModule(readFileSync(file, 'utf8'), {
    fileName: file,
    compilerOptions: {
      module: ModuleKind.CommonJS,
      target: ScriptTarget.ES2023,
      esModuleInterop: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  });
  module._compile(outputText, file);
};
