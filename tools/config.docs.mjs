/**
 * npm run docs:config — writes .env.example and docs/configuration.md from the comments, rules and defaults of the Config
 * class; `-- --check` writes nothing and fails where they differ.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';

const ROOT = join(import.meta.dirname, '..');
const WIDTH = 120;

/** @typedef {{ section?: string, name: string, about: string, example?: string, byDefault?: string, rule?: string }} Variable */

/**
 * The class and those that it extends, from the first one on.
 * @param {string} file
 * @param {string} name
 * @returns {{ file: ts.SourceFile, declaration: ts.ClassDeclaration }[]}
 */
function lineage(file, name) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const declaration = source.statements.filter(ts.isClassDeclaration).find((one) => one.name?.text === name);
  if (!declaration) throw new Error(`${file} has no class ${name}`);
  const parent = declaration.heritageClauses?.[0].types[0].expression.getText(source);
  if (!parent) return [{ file: source, declaration }];
  const from = source.statements
    .filter(ts.isImportDeclaration)
    .find(({ importClause }) => importClause?.getText(source).includes(parent));
  const path = /** @type {ts.StringLiteral} */ (from?.moduleSpecifier).text;
  return [...lineage(join(dirname(file), `${path}.ts`), parent), { file: source, declaration }];
}

/**
 * @param {ts.Expression | undefined} expression
 * @returns {string | undefined} undefined: unset
 */
function valueOf(expression) {
  if (!expression) return undefined;
  if (ts.isStringLiteral(expression) || ts.isNumericLiteral(expression)) return expression.text;
  if (expression.kind === ts.SyntaxKind.TrueKeyword) return 'true';
  if (expression.kind === ts.SyntaxKind.FalseKeyword) return 'false';
  if (ts.isArrayLiteralExpression(expression)) return expression.elements.map(valueOf).join(',') || undefined;
  throw new Error(`A default is a plain value, not ${expression.getText()}`);
}

/**
 * What the decorators say of the value.
 * @param {ts.PropertyDeclaration} property
 */
function ruleOf(property) {
  for (const { expression } of ts.getDecorators(property) ?? []) {
    if (!ts.isCallExpression(expression)) continue;
    switch (expression.expression.getText()) {
      case 'Flag':
        return '`true` or `false`';
      case 'Whole': {
        const [least, most] = expression.arguments.map((bound) =>
          Number(valueOf(bound)).toLocaleString('en-US'),
        );
        return `a whole number from ${least} to ${most}`;
      }
      case 'OneOf':
        return `one of ${expression.arguments.map((argument) => `\`${valueOf(argument)}\``).join(', ')}`;
    }
  }
  return undefined;
}

/** @returns {Variable[]} */
function variables() {
  return lineage(join(ROOT, 'libs/config/config.ts'), 'Config').flatMap(({ file, declaration }) =>
    declaration.members.filter(ts.isPropertyDeclaration).map((property) => {
      const name = property.name.getText(file);
      const leading = file.text.slice(property.getFullStart(), property.getStart(file));
      const [doc] = ts.getJSDocCommentsAndTags(property);
      const about = doc && ts.isJSDoc(doc) ? ts.getTextOfJSDocComment(doc.comment) : undefined;
      if (!about) throw new Error(`${name} has no comment`);
      const example = ts.getJSDocTags(property).find(({ tagName }) => tagName.text === 'example');
      return {
        name,
        section: /\/\/ --- (.*) ---/.exec(leading)?.[1],
        about: about.replace(/\s+/g, ' ').trim(),
        example: example && ts.getTextOfJSDocComment(example.comment),
        byDefault: valueOf(property.initializer),
        rule: ruleOf(property),
      };
    }),
  );
}

/**
 * @param {string} text
 * @param {string} before of each line
 */
function wrap(text, before = '') {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(' ')) {
    const longer = lines.length === 0 ? undefined : `${lines[lines.length - 1]} ${word}`;
    if (longer && longer.length <= WIDTH) lines[lines.length - 1] = longer;
    else lines.push(before + word);
  }
  return lines.join('\n');
}

/** @param {Variable[]} all */
const envExample = (all) =>
  `# Every variable of the service with its default, written from libs/config by \`npm run docs:config\`.
# Copy to .env and change what you need. A line that is commented out shows an example; its variable is unset.
${all
  .map(
    ({ section, name, about, example = '', byDefault }) =>
      `${section ? `\n# --- ${section} ---\n` : ''}${wrap(about, '# ')}\n` +
      (byDefault === undefined ? `#${name}=${example}` : `${name}=${byDefault}`),
  )
  .join('\n')}
`;

/**
 * What holds while the variable is unset its comment says, where there is no default.
 * @param {Variable} variable
 */
function valueLine({ name, example, byDefault, rule }) {
  const value =
    byDefault === undefined ? undefined : `default: ${byDefault === '' ? 'empty' : `\`${byDefault}\``}`;
  const parts = [value, rule, example && `for example \`${name}=${example}\``].filter(Boolean);
  const line = parts.join('; ') || 'unset by default';
  return `${line[0].toUpperCase()}${line.slice(1)}.`;
}

/** @param {Variable[]} all */
const reference = (all) =>
  `# Configuration

<!-- Written from libs/config by \`npm run docs:config\`. -->

Every setting is a variable, of the environment or of a file \`.env\` in the folder where the service starts
([.env.example](../.env.example) is one to copy). The environment wins; an empty variable counts as unset. What is wrong
is reported at the start, a sentence for each variable, and the service does not start; so is a value that is wrapped in
quotes (\`docker --env-file\` keeps them) or holds a character that cannot be seen, a path with \`~\` or \`$NAME\`, and a
\`.env\` that is not UTF-8. A name that is nearly one of these is reported in the log, and refused where the service would be
open because its keys are not read.
${all
  .map(
    (variable) =>
      `${variable.section ? `\n## ${variable.section[0].toUpperCase()}${variable.section.slice(1)}\n` : ''}
### ${variable.name}

${wrap(variable.about)}

${valueLine(variable)}`,
  )
  .join('\n')}
`;

const { check, folder } = parseArgs({
  options: { check: { type: 'boolean', default: false }, folder: { type: 'string', default: ROOT } },
}).values;
const all = variables();
const files = { '.env.example': envExample(all), 'docs/configuration.md': reference(all) };
for (const [name, text] of Object.entries(files)) {
  const file = join(folder, name);
  const current = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (current === text) continue;
  if (check) {
    process.stderr.write(
      `${relative(ROOT, file)} differs from the Config class: npm run docs:config writes it anew\n`,
    );
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
