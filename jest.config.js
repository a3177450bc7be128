/** @type {import('ts-jest').TsJestTransformerOptions} */
const tsJest = {
  tsconfig: '<rootDir>/tsconfig.test.json',
  // 151002 asks for isolatedModules, under which the swagger plugin could not see types.
  diagnostics: { ignoreCodes: [151002] },
  // DTO comments become API docs in tests as they do in the build.
  astTransformers: { before: ['<rootDir>/test/support/swagger.transformer.js'] },
};
/** Without types, which `npm run types` checks, and so without the plugin: half a minute less for each worker. */
const fast = { tsconfig: '<rootDir>/tsconfig.fast.json', diagnostics: false };
/** @type {(options: object) => Record<string, [string, any]>} */
const transform = (options) => ({
  '^.+\\.ts$': ['ts-jest', options],
  // Its import() is beyond jest.
  'otlp-exporter-base/.+\\.js$': ['ts-jest', fast],
});

const shared = {
  rootDir: __dirname,
  testEnvironment: 'node',
  moduleFileExtensions: ['js', 'ts', 'json'],
  transform: transform(fast),
  transformIgnorePatterns: ['/node_modules/(?!@opentelemetry/otlp-exporter-base/)'],
  moduleNameMapper: {
    '^@app/(.*)$': '<rootDir>/libs/$1',
    // import() names the file that is built.
    '^(\\./open\\.telemetry)\\.js$': '$1',
  },
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/dist/'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/clients/node/dist/'],
};

/** Specs beside their sources. */
const beside = {
  ...shared,
  roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/tools', '<rootDir>/clients'],
};

/** Each draws on all cores, so one after the other. */
const alone = {
  ...shared,
  runner: '<rootDir>/test/jest/serial.runner.js',
  setupFilesAfterEnv: ['<rootDir>/test/jest/pictures.setup.ts'],
};

/** @type {import('jest').Config} */
module.exports = {
  maxWorkers: '100%',
  reporters: ['default', '<rootDir>/test/jest/closing.line.js'],
  projects: [
    {
      ...beside,
      displayName: 'unit',
      // Those that open no port and start no process.
      testRegex: '(?<!\\.component)\\.spec\\.ts$',
      setupFilesAfterEnv: ['<rootDir>/test/jest/unit.setup.ts'],
    },
    {
      ...beside,
      transform: transform(tsJest),
      displayName: 'component',
      testRegex: '\\.component\\.spec\\.ts$',
      setupFilesAfterEnv: ['<rootDir>/test/jest/component.setup.ts'],
    },
    { ...alone, displayName: 'native', roots: ['<rootDir>/test/native'], testRegex: '\\.spec\\.ts$' },
    { ...alone, displayName: 'e2e', roots: ['<rootDir>/test/e2e'], testRegex: '\\.e2e\\.ts$' },
  ],
};
