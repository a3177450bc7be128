import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** apps -> libs/pipeline -> libs/{models,storage,outbound,config,errors}; the addon is imported by apps/engine alone. */
const forbid = (...patterns) => ({
  'no-restricted-imports': ['error', { patterns: patterns.map(([group, message]) => ({ group, message })) }],
});
const addon = [
  ['#native', '**/native/index*'],
  'Only apps/engine imports the addon: a crash of the engine must not reach the API.',
];
const upwards = [['**/apps/**'], 'Libraries do not import apps.'];
const pipeline = [['@app/pipeline'], 'models, storage, outbound, config and errors lie below the pipeline.'];

/** The benchmarks are plain scripts whose JSDoc types are checked (bench/tsconfig.json). */
const TYPED = ['**/*.ts', 'bench/**/*.mjs'];

export default tseslint.config(
  { ignores: ['dist/', 'native/build*/', 'native/.engine/', 'coverage/', 'data/'] },
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: TYPED })),
  {
    files: TYPED,
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'libs/config/config.ts is the one reader of variables.',
        },
      ],
    },
  },
  { files: ['apps/api/**/*.ts'], rules: forbid(addon) },
  { files: ['libs/**/*.ts'], rules: forbid(addon, upwards) },
  {
    files: ['libs/{models,storage,outbound,config,errors}/**/*.ts'],
    rules: forbid(addon, upwards, pipeline),
  },
  // Bodies of replies are any.
  { files: ['**/*.spec.ts'], rules: { '@typescript-eslint/no-unsafe-assignment': 'off' } },
  {
    files: ['bench/**/*.mjs'],
    // These do not see JSDoc casts.
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-return': 'off' },
  },
  { files: ['test/**/*.ts', 'bench/**/*.mjs', '**/main.ts'], rules: { 'no-restricted-properties': 'off' } },
  prettier,
);
