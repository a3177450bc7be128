import { parseArgs } from 'node:util';

/**
 * @typedef {{ about: string, default: number | string | boolean }} Option
 *   The default's type is the option's: a number means a whole number of at least 1, a boolean a switch.
 */

/**
 * The command line, by one table that also makes --help. What is wrong is told in one sentence, with exit code 2.
 *
 * @template {Record<string, Option>} Options
 * @param {string} about
 * @param {Options} options
 * @returns {{ [Name in keyof Options]: Options[Name]['default'] extends number ? number
 *   : Options[Name]['default'] extends boolean ? boolean : string }}
 */
export function readArguments(about, options) {
  try {
    const table = Object.entries({ ...options, help: { about: 'print this', default: false } });
    const { values } = parseArgs({
      options: Object.fromEntries(table.map(([name, option]) => [name, { type: kindOf(option) }])),
    });
    if (values.help) {
      console.log([about, '', ...table.map(([name, option]) => helpLine(name, option))].join('\n'));
      process.exit(0);
    }
    const read = table.map(([name, option]) => [name, readValue(name, option, values[name])]);
    return /** @type {any} */ (Object.fromEntries(read));
  } catch (error) {
    console.error(/** @type {Error} */ (error).message);
    process.exit(2);
  }
}

/** @param {Option} option */
const kindOf = (option) => (typeof option.default === 'boolean' ? 'boolean' : 'string');

/**
 * @param {string} name
 * @param {Option} option
 * @param {string | boolean | undefined} given
 */
function readValue(name, option, given) {
  if (given === undefined || typeof option.default !== 'number') return given ?? option.default;
  if (!/^[1-9]\d{0,8}$/.test(String(given))) {
    throw new Error(`Expected a whole number of at least 1 for --${name} but received ${given}`);
  }
  return Number(given);
}

/**
 * @param {string} name
 * @param {Option} option
 */
function helpLine(name, option) {
  const value = kindOf(option) === 'string' ? ` <${typeof option.default === 'number' ? 'n' : 'text'}>` : '';
  const otherwise = value && ` (default ${option.default})`;
  return `  ${`--${name}${value}`.padEnd(20)} ${option.about}${otherwise}`;
}
