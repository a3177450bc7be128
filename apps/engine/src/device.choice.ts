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
 * there, or too old for the engine, is never replaced by the processor. Throws a sentence that names what was found, and
 * why not more.
 */
export function chooseDevice(found: Found, { device: wanted, requireGpu }: Wanted): Device {
  const { devices, version } = found;
  if (devices.length === 0)
    throw new Error(
      `broken engine: it lists no device at all, not even the processor${problems(found)}. Run \`npm run engine\``,
    );
  const gpus = devices.filter((device) => device.gpu);
  if (wanted !== undefined) {
    const device = isNumber(wanted) ? theOneVisible(wanted, gpus, found) : named(wanted, found);
    if (requireGpu && !device.gpu)
      throw new Error(`no GPU device: REQUIRE_GPU is set, and ${device.name} is none`);
    return recent(device, found);
  }
  const gpu = newEnough(gpus, found);
  if (gpu) return recent(gpu, found);
  if (requireGpu || FOR_GPUS.test(version.source)) {
    const why = requireGpu ? 'REQUIRE_GPU is set, and ' : '';
    const way = requireGpu ? '' : '. ENGINE_DEVICES=CPU draws on the processor';
    throw new Error(`no GPU device: ${why}${whatWasFound(found)}${problems(found)}${way}`);
  }
  return devices[0];
}

function named(wanted: string, found: Found): Device {
  const device = found.devices.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (device) return device;
  throw new Error(`no device "${wanted}" (ENGINE_DEVICES): ${whatWasFound(found)}${problems(found)}`);
}

/** The GPU that the variables for this number or UUID (libs/pipeline/visible.devices.ts) have left. */
function theOneVisible(wanted: string, gpus: readonly Device[], found: Found): Device {
  const left = gpus.filter(({ name }) => isMeant(kindOf(name), wanted));
  const gpu = newEnough(left, found);
  if (!gpu)
    throw new Error(`no GPU device "${wanted}" (ENGINE_DEVICES): ${whatWasFound(found)}${problems(found)}`);
  if (left.some((other) => other !== gpu && kindOf(other.name) === kindOf(gpu.name)))
    throw new Error(
      `no GPU device "${wanted}" (ENGINE_DEVICES) alone: ${whatWasFound(found)}; name one of them`,
    );
  return gpu;
}

/** What hides nothing by numbers has at most the first; UUIDs are NVIDIA's and AMD's, and parts (MIG) NVIDIA's. */
function isMeant(kind: string, wanted: string): boolean {
  if (wanted.startsWith('MIG-')) return kind === 'CUDA';
  if (wanted.startsWith('GPU-')) return kind === 'CUDA' || kind === 'ROCm';
  return ['CUDA', 'ROCm', 'MUSA', 'SYCL', 'Vulkan'].includes(kind) || Number(wanted) === 0;
}

/** "CUDA0" -> "CUDA" */
export const kindOf = (name: string) => name.replace(/\d+$/, '');

/** Old cards stay in a machine beside the new one. */
const newEnough = (gpus: readonly Device[], found: Found) =>
  gpus.find((device) => !isTooOld(device, found)) ?? gpus.at(0);

/** The engine has neither machine code nor PTX for it: it would load the model, and abort at its first kernel. */
export const isTooOld = ({ capability }: Device, found: Found) =>
  capability !== undefined && capability < leastCapability(found);

const leastCapability = ({ backEnds }: Found) =>
  Math.max(0, ...backEnds.map(({ leastCapability = 0 }) => leastCapability));

function recent(device: Device, found: Found): Device {
  if (!isTooOld(device, found)) return device;
  const { name, description, capability } = device;
  throw new Error(
    `the GPU ${name} (${description}) is too old: its compute capability is ${capability?.toFixed(1)}, and this engine ` +
      `(${found.version.source}) has code from ${leastCapability(found).toFixed(1)} on. An engine of your own may have ` +
      'it (SD_CPP_ROOT); ENGINE_DEVICES=CPU draws on the processor',
  );
}

/** Numbers as `nvidia-smi` counts, UUIDs of GPUs and of their parts (MIG). */
const isNumber = (device: string) => /^\d+$|^(GPU|MIG)-/.test(device);

const whatWasFound = ({ devices, version }: Found) =>
  `this engine (${version.source}) found ${devices.map(({ name }) => name).join(', ')}`;

/** Of each back end that found nothing, why. */
export const problems = ({ backEnds }: Found) =>
  backEnds.flatMap(({ name, problem }) => (problem ? [`; ${name}: ${problem}`] : [])).join('');
