import type { BackEnd, Device, EngineVersion } from '#native';

/** What the addon found when it was opened. */
export interface Found {
  readonly version: Pick<EngineVersion, 'source'>;
  readonly backEnds: readonly BackEnd[];
  readonly devices: readonly Device[];
}

export interface Wanted {
  /** As in ENGINE_DEVICES: a device's name, or a GPU's number or UUID, which is then the only one that is visible. */
  readonly device?: string;
  readonly requireGpu: boolean;
}

/** The prebuilt engines for GPUs: whoever installed one does not expect pictures that take an hour. */
const FOR_GPUS = /^prebuilt (?!cpu)/;

/**
 * The device to draw on: the one that is named, else the first GPU, else the processor. A GPU that is wanted and not
 * there is never replaced by the processor. Throws a sentence that names what was found, and why not more.
 */
export function chooseDevice(found: Found, { device: wanted, requireGpu }: Wanted): Device {
  const { devices, version } = found;
  if (devices.length === 0)
    throw new Error(
      `broken engine: it lists no device at all, not even the processor${problems(found)}. Run \`npm run engine\``,
    );
  const gpu = devices.find((device) => device.gpu);
  if (wanted !== undefined && !isNumber(wanted)) {
    const named = devices.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
    if (!named)
      throw new Error(`no device "${wanted}" (ENGINE_DEVICES): ${whatWasFound(found)}${problems(found)}`);
    if (requireGpu && !named.gpu)
      throw new Error(`no GPU device: REQUIRE_GPU is set, and ${named.name} is none`);
    return named;
  }
  if (gpu) return gpu;
  if (wanted !== undefined)
    throw new Error(`no GPU device "${wanted}" (ENGINE_DEVICES): ${whatWasFound(found)}${problems(found)}`);
  if (requireGpu || FOR_GPUS.test(version.source)) {
    const why = requireGpu ? 'REQUIRE_GPU is set, and ' : '';
    const way = requireGpu ? '' : '. ENGINE_DEVICES=CPU draws on the processor';
    throw new Error(`no GPU device: ${why}${whatWasFound(found)}${problems(found)}${way}`);
  }
  return devices[0];
}

/** Numbers as `nvidia-smi` counts, UUIDs of GPUs and of their parts (MIG). */
const isNumber = (device: string) => /^\d+$|^(GPU|MIG)-/.test(device);

const whatWasFound = ({ devices, version }: Found) =>
  `this engine (${version.source}) found ${devices.map(({ name }) => name).join(', ')}`;

const problems = ({ backEnds }: Found) =>
  backEnds.flatMap(({ name, problem }) => (problem ? [`; ${name}: ${problem}`] : [])).join('');
