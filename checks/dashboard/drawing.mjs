/** A Grafana dashboard as a picture, near to what Grafana draws: enough to see which panel has data, and which looks wrong. */
import sharp from 'sharp';

/** @typedef {{ title: string, type: string, gridPos: { x: number, y: number, w: number, h: number }, unit: string }} Panel */
/** @typedef {{ name: string, points: [seconds: number, value: number][] }} Series */

const COLUMN = 72;
const ROW = 30;
const COLORS = ['#73bf69', '#f2cc0c', '#8ab8ff', '#ff780a', '#f2495c', '#b877d9', '#5794f2', '#fade2a'];

/** @type {Record<string, (value: number) => string>} */
const UNITS = {
  s: (value) => (value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(1)} s`),
  bytes: (value) => (value >= 1e9 ? `${(value / 1e9).toFixed(1)} GB` : `${(value / 1e6).toFixed(0)} MB`),
  percentunit: (value) => `${(100 * value).toFixed(0)} %`,
  celsius: (value) => `${value.toFixed(0)} °C`,
  reqps: (value) => `${value.toFixed(2)}/s`,
};
const short = (/** @type {number} */ value) => value.toFixed(value < 10 && value % 1 ? 2 : 0);

/**
 * @param {readonly { panel: Panel, series: readonly Series[] }[]} panels
 * @param {{ from: number, to: number, file: string }} range seconds since 1970; `file`: a PNG
 */
export async function drawDashboard(panels, { from, to, file }) {
  const width = 24 * COLUMN;
  const height = ROW * Math.max(...panels.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h));
  const body = panels.map(({ panel, series }) => drawPanel(panel, series, from, to)).join('\n');
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans, sans-serif" font-size="12">
    <rect width="100%" height="100%" fill="#111217"/>${body}</svg>`;
  await sharp(Buffer.from(svg)).png().toFile(file);
}

/**
 * @param {Panel} panel
 * @param {readonly Series[]} series
 * @param {number} from
 * @param {number} to
 */
function drawPanel({ title, type, gridPos, unit }, series, from, to) {
  const [x, y] = [gridPos.x * COLUMN, gridPos.y * ROW];
  const [w, h] = [gridPos.w * COLUMN - 8, gridPos.h * ROW - 8];
  if (type === 'row') return text(x + 8, y + 20, title, '#ccccdc', 14);
  const frame = `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="#181b1f" stroke="#2c3235"/>${text(x + 10, y + 20, title, '#ccccdc')}`;
  const format = UNITS[unit] ?? short;
  if (series.length === 0) return frame + text(x + w / 2 - 25, y + h / 2, 'No data', '#8e8e8e');
  if (type === 'stat') {
    const lines = series.map(({ name, points }, i) =>
      series.length === 1
        ? text(x + 20, y + h / 2 + 12, format(points.at(-1)?.[1] ?? NaN), COLORS[0], 34)
        : text(x + 12, y + 50 + 20 * i, name, COLORS[i % COLORS.length], 12),
    );
    return frame + lines.join('');
  }
  const [left, top, right, bottom] = [
    x + 66,
    y + 32,
    x + w - 10,
    y + h - 24 - 15 * Math.ceil(series.length / 3),
  ];
  const most = Math.max(...series.flatMap(({ points }) => points.map(([, value]) => value)), 1e-9);
  const at = (/** @type {[number, number]} */ [time, value]) =>
    `${(left + ((time - from) / (to - from)) * (right - left)).toFixed(1)},${(bottom - (value / most) * (bottom - top)).toFixed(1)}`;
  const grid = [0, 0.5, 1].map((share) => {
    const height = bottom - share * (bottom - top);
    return `<line x1="${left}" x2="${right}" y1="${height}" y2="${height}" stroke="#2c3235"/>${text(x + 6, height + 4, format(share * most), '#8e8e8e', 10)}`;
  });
  const lines = series.map(({ points }, i) => {
    const color = COLORS[i % COLORS.length];
    const dots = points.map(
      (point) => `<circle cx="${at(point).replace(',', '" cy="')}" r="1.5" fill="${color}"/>`,
    );
    return `<polyline points="${points.map(at).join(' ')}" fill="none" stroke="${color}" stroke-width="1.5"/>${dots.join('')}`;
  });
  const names = series.map(({ name }, i) =>
    text(
      x + 12 + (i % 3) * (w / 3),
      bottom + 20 + 15 * Math.floor(i / 3),
      name,
      COLORS[i % COLORS.length],
      10,
    ),
  );
  return frame + grid.join('') + lines.join('') + names.join('');
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} words
 * @param {string} color
 * @param {number} [size]
 */
function text(x, y, words, color, size = 12) {
  const escaped = words.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return `<text x="${x}" y="${y}" fill="${color}" font-size="${size}">${escaped}</text>`;
}
