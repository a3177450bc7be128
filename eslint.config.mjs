import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** The floors of the house, from the ground up: a folder imports what lies below it, and nothing beside or above it. */
const FLOORS = [
  ['errors'],
  ['config'],
  ['lifecycle', 'outbound'],
  ['models', 'storage', 'pictures'],
  ['pipeline'],
  ['jobs'],
];
/** @type {(...patterns: [names: string[] | RegExp, message: string][]) => import('eslint').Linter.RulesRecord} */
const forbid = (...patterns) => ({
  'no-restricted-imports': [
    'error',
    {
      patterns: patterns.map(([names, message]) =>
        Array.isArray(names) ? { group: names, message } : { regex: names.source, message },
      ),
    },
  ],
});
/** @type {[string[], string]} */
const addon = [
  ['#native', '**/native/index*'],
  'Only apps/engine imports the addon: a crash of the engine must not reach the server.',
];
/** @type {[string[], string]} */
const apps = [['**/apps/**'], 'Libraries do not import apps.'];
/** Each library with what lies below it; its own files go by relative paths. */
const floors = FLOORS.flatMap((floor, i) =>
  floor.map((lib) => {
    const below = new Set(FLOORS.slice(0, i).flat());
    const closed = FLOORS.flat().filter((other) => !below.has(other));
    /** @type {[RegExp, string]} */
    const upwards = [
      // The figures of the model family import nothing: even libs/config stands on them.
      new RegExp(`^(?!@app/models/family$)@app/(?:${closed.join('|')})(?:/|$)`),
      `libs/${lib} imports ${[...below].join(', ') || 'no library'}, and models/family.`,
    ];
    return { files: [`libs/${lib}/**/*.ts`], rules: forbid(addon, apps, upwards) };
  }),
);

/** Plain JavaScript, whose JSDoc types are checked. */
const SCRIPTS = ['**/*.js', '**/*.cjs', '**/*.mjs'];

export default tseslint.config(
  { ignores: ['dist/', 'native/build*/', 'native/.engine/', 'coverage/', 'data/'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './tsconfig.test.json', './tsconfig.scripts.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'libs/config is the one reader of variables.',
        },
      ],
    },
  },
  { files: ['apps/server/**/*.ts'], rules: forbid(addon) },
  ...floors,
  // Bodies of replies are any.
  { files: ['**/*.spec.ts'], rules: { '@typescript-eslint/no-unsafe-assignment': 'off' } },
  { files: ['**/*.js', '**/*.cjs'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
  {
    files: SCRIPTS,
    // These do not see JSDoc casts.
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-return': 'off' },
  },
  { files: ['test/**/*.ts', ...SCRIPTS, '**/main.ts'], rules: { 'no-restricted-properties': 'off' } },
  prettier,
);
