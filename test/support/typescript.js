/** `node -r ./test/support/typescript.js` runs our TypeScript in a child process of a test, unbuilt. */
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const { join } = require('node:path');
const { ModuleKind, ScriptTarget, transpileModule } = require('typescript');

const libs = join(__dirname, '../../libs');
const resolve = Module._resolveFilename;
Module._resolveFilename = (request, ...rest) => resolve(request.replace(/^@app\//, `${libs}/`), ...rest);

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
