import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** The floors of the house, from the ground up: a folder imports what lies below it, and nothing beside or above it. */
const FLOORS = [
  ['errors'],
  ['config'],
  ['lifecycle', 'outbound'],
  ['models', 'storage', 'pictures'],
  ['faces', 'pipeline'],
  ['jobs'],
];
/** The same inside the server, whose root knows all. */
const SERVER_FLOORS = [
  ['errors', 'validation'],
  ['auth', 'http'],
  ['docs'],
  ['health', 'loras', 'metrics', 'models', 'results', 'tracing', 'users'],
  ['jobs'],
  ['webhooks'],
  ['images'],
  ['automatic1111', 'huggingface', 'openai'],
];
/** @type {(...patterns: [names: RegExp, message: string][]) => import('eslint').Linter.RulesRecord} */
const forbid = (...patterns) => ({
  '@typescript-eslint/no-restricted-imports': [
    'error',
    {
      patterns: patterns.map(([names, message]) => ({
        regex: names.source,
        message,
        allowTypeImports: names === addon[0],
      })),
    },
  ],
});
/** @type {[RegExp, string]} */
const addon = [
  /^#native$|(^|\/)native\/index/,
  'Only apps/engine imports the addon: a crash of the engine must not reach the server.',
];
/** @type {[RegExp, string]} */
const apps = [/(^|\/)apps\//, 'Libraries do not import apps.'];
/** Each folder with those below it, and those that are closed to it: its own files go by `./`. @param {string[][]} floors */
const rooms = (floors) =>
  floors.flatMap((floor, i) => {
    const below = new Set(floors.slice(0, i).flat());
    return floor.map((name) => ({ name, below, closed: floors.flat().filter((other) => !below.has(other)) }));
  });
const libraries = rooms(FLOORS).map(({ name, below, closed }) => {
  /** @type {[RegExp, string]} */
  const upwards = [
    // The figures of the model family import nothing: even libs/config stands on them.
    new RegExp(`^(?!@app/models/family$)@app/(?:${closed.join('|')})(?:/|$)`),
    `libs/${name} imports ${[...below].join(', ') || 'no library'}, and models/family.`,
  ];
  return { files: [`libs/${name}/**/*.ts`], rules: forbid(addon, apps, upwards) };
});
const server = rooms(SERVER_FLOORS).map(({ name, below, closed }) => ({
  files: [`apps/server/src/${name}/**/*.ts`],
  ignores: ['**/*.spec.ts'],
  rules: forbid(addon, [
    new RegExp(`^\\.\\./(?:(?:${closed.join('|')})/|[^/]+$)`),
    `${name} imports ${[...below].join(', ') || 'no other folder'} of the server.`,
  ]),
}));

/** Plain JavaScript, whose JSDoc types are checked. */
const SCRIPTS = ['**/*.js', '**/*.cjs', '**/*.mjs'];

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'native/build*/',
      'native/.engine/',
      'coverage/',
      'clients/node/dist/',
      '**/openapi.types.ts',
      'data/',
      'test/fixtures/',
    ],
  },
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
  ...server,
  ...libraries,
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
