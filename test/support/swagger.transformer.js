const { compilerOptions } = require('../../nest-cli.json');
const { before } = require('@nestjs/swagger/plugin');

const options = compilerOptions.plugins.find(({ name }) => name === '@nestjs/swagger')?.options;

// ts-jest caches compiled files under this name and version: raise the version when the options change.
module.exports = {
  name: 'swagger',
  version: 1,
  /** @param {import('ts-jest').TsCompilerInstance} compiler */
  factory: (compiler) => before(options, compiler.program),
};
