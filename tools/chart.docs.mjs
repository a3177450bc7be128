/**
 * npm run docs:chart [-- --check] — writes the table of values into the chart's README, from the comments in its values.yaml
 * that begin with `# --`. With `--check` it only says whether the README is what the values give.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

const CHART = resolve(dirname(fileURLToPath(import.meta.url)), '../charts/sdxl-image-service');
const README = join(CHART, 'README.md');
const HEADING = '## Values\n';

/** A row for each value that has a comment; values within a described one belong to it. */
function rows() {
  /** @type {{ indent: number, name: string }[]} */
  const path = [];
  const table = [];
  let comment = '';
  for (const line of readFileSync(join(CHART, 'values.yaml'), 'utf8').split('\n')) {
    const remark = /^ *# (-- )?(.*)$/.exec(line);
    if (remark) {
      comment = remark[1] ? remark[2] : comment && `${comment} ${remark[2]}`;
      continue;
    }
    const value = /^( *)([\w.-]+|'[^']+'):(?: (.*))?$/.exec(line);
    if (value) {
      const [, { length: indent }, name, text] = value;
      while (path.length > 0 && path[path.length - 1].indent >= indent) path.pop();
      path.push({ indent, name });
      const shown = text === undefined ? 'see values.yaml' : `\`${text}\``;
      if (comment) table.push(`| \`${path.map((part) => part.name).join('.')}\` | ${shown} | ${comment} |`);
    }
    comment = '';
  }
  return table;
}

const [text] = readFileSync(README, 'utf8').split(HEADING);
const table = ['| value | default | what |', '| --- | --- | --- |', ...rows()].join('\n');
const whole = `${text}${HEADING}\n<!-- Written from values.yaml by \`npm run docs:chart\`. -->\n\n${table}\n`;
const wanted = await format(whole, { ...(await resolveConfig(README)), parser: 'markdown' });
if (!process.argv.includes('--check')) writeFileSync(README, wanted);
else if (readFileSync(README, 'utf8') !== wanted) {
  console.error("The chart's README differs from its values: npm run docs:chart, then commit it");
  process.exitCode = 1;
}
