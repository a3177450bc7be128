/** Results as they come: JSON lines, and a table for people in a file and on the terminal. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @typedef {import('./engine.mjs').Answer} Answer */

/**
 * @typedef {Answer & { device: string, group: string, what: string, side?: number, steps?: number, vramMib?: number,
 *   same?: boolean, settings?: object, asked?: object, note?: string, stepsPerSecond?: number, changeSeconds?: number, restMs?: number }} Row
 */

/** @type {[string, number, (row: Row) => string | undefined][]} */
const COLUMNS = [
  ['group', 9, (row) => row.group],
  ['what', 35, (row) => row.what],
  ['side', 4, (row) => row.side?.toFixed()],
  ['steps', 5, (row) => row.steps?.toFixed()],
  ['s', 8, (row) => row.seconds.toFixed(2)],
  ['steps/s', 8, (row) => row.stepsPerSecond?.toFixed(2)],
  ['text ms', 8, (row) => row.timings?.text.toFixed()],
  ['image ms', 8, (row) => row.timings?.image.toFixed()],
  ['sampling', 9, (row) => row.timings?.sampling.toFixed()],
  ['decode ms', 9, (row) => row.timings?.decode.toFixed()],
  ['rest ms', 8, (row) => row.restMs?.toFixed()],
  ['VRAM MiB', 8, (row) => memory(row)],
  ['note', 0, (row) => note(row)],
];

/** Highest by nvidia-smi, or `~` what the engine counts of its own. @param {Row} row */
const memory = ({ vramMib, engineMib }) =>
  vramMib !== undefined ? String(vramMib) : engineMib ? `~${engineMib}` : 'n/a';

/** @param {Row} row */
function note(row) {
  const notes = [
    row.code && `${row.code}: ${row.message}`,
    row.same !== undefined && (row.same ? 'same bytes as the first' : 'OTHER BYTES than the first'),
    row.loras?.length &&
      `LoRA tensors: ${row.loras.map(({ applied, total }) => `${applied}/${total}`).join()}`,
    row.changeSeconds !== undefined && `the change took ${row.changeSeconds.toFixed(2)} s`,
    row.decodedInTiles && 'decoded in tiles',
    row.note,
  ];
  return notes.filter(Boolean).join('; ');
}

const LEGEND = [
  's: the call of the addon from outside. text, image (avatar), sampling, decode: phases of the engine. rest: what is in',
  "none of them. VRAM: the most of that picture, above what was in use before the process; ~: by the engine's own",
  "count of weights and largest buffer, without the process' context (400 MiB or more). The time of a changed set of",
  'merged LoRAs lies in all phases: each part of the model is loaded again when it is needed.',
];

/** @param {string} folder */
export function startReport(folder) {
  mkdirSync(folder, { recursive: true });
  const [json, table] = [join(folder, 'results.jsonl'), join(folder, 'results.txt')];
  for (const file of [json, table]) writeFileSync(file, '');
  const say = (/** @type {string} */ line) => {
    console.log(line);
    appendFileSync(table, `${line}\n`);
  };
  const tell = (/** @type {object} */ record) => {
    appendFileSync(json, `${JSON.stringify({ at: new Date().toISOString(), ...record })}\n`);
  };
  return {
    say,
    /** @param {object} record for the JSON lines only */
    tell,
    head: () =>
      say(
        COLUMNS.map(([name, width]) => pad(name, width))
          .join(' ')
          .trimEnd(),
      ),
    /** @param {Row} row */
    row(row) {
      tell(row);
      say(
        COLUMNS.map(([, width, cell]) => pad(cell(row) ?? '', width))
          .join(' ')
          .trimEnd(),
      );
    },
    legend: () =>
      ['', ...LEGEND, `Written to ${folder}: results.jsonl, results.txt, engine.log`].forEach(say),
  };
}

/** Words to the left, numbers to the right. @param {string} text @param {number} width */
const pad = (text, width) => (/^[~\d.]+$|^n\/a$/.test(text) ? text.padStart(width) : text.padEnd(width));
