const tsJest = {
  tsconfig: '<rootDir>/tsconfig.json',
  // 151002 asks for isolatedModules, under which the swagger plugin could not see types.
  diagnostics: { ignoreCodes: [151002] },
  // DTO comments become API docs in tests as they do in the build.
  astTransformers: { before: ['<rootDir>/test/support/swagger.transformer.js'] },
};

/** Unit specs stand beside their sources; test/ holds what needs the built service, the addon or a server. */
const shared = {
  rootDir: __dirname,
  testEnvironment: 'node',
  moduleFileExtensions: ['js', 'ts', 'json'],
  transform: { '^.+\\.ts$': ['ts-jest', tsJest] },
  moduleNameMapper: { '^@app/(.*)$': '<rootDir>/libs/$1' },
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/dist/'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
};

module.exports = {
  projects: [
    {
      ...shared,
      displayName: 'unit',
      roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/tools'],
      testRegex: '\\.spec\\.ts$',
      setupFilesAfterEnv: ['<rootDir>/test/jest.unit.setup.ts'],
    },
    {
      ...shared,
      displayName: 'native',
      roots: ['<rootDir>/test/native'],
      testRegex: '\\.spec\\.ts$',
      setupFilesAfterEnv: ['<rootDir>/test/jest.setup.ts'],
    },
    {
      ...shared,
      displayName: 'e2e',
      roots: ['<rootDir>/test/e2e'],
      testRegex: '\\.e2e\\.ts$',
      setupFilesAfterEnv: ['<rootDir>/test/jest.setup.ts'],
    },
  ],
};
