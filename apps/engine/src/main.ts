/**
 * The engine process: owns one device, loads one model, draws one picture at a time. The engine aborts its process
 * when a CUDA call or an assertion fails; this process is there to be lost instead of the service.
 */
import { constants, setPriority } from 'node:os';
import type { EngineCommand, EngineEvent } from '@app/pipeline';
import type { Device, Session } from '#native';

type Addon = typeof import('#native');

const say = (event: EngineEvent): void => {
  process.send?.(event);
};

const fail = (error: unknown): void => {
  const { code, message } = error as { code?: string; message?: string };
  say({ type: 'failed', code: code ?? 'generation_failed', message: message ?? String(error) });
};

let addon: Addon;
let session: Session | undefined;

function openAddon(): Addon {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- after the handlers below are in place
  const native = require('#native') as Addon;
  native.dieWithParent();
  native.onLog((level, line) => {
    if (level === 'warn' || level === 'error') say({ type: 'log', level, line });
  });
  return native;
}

/** The first GPU, else the CPU. A CUDA engine without a GPU cannot draw at all. */
function chooseDevice(requireGpu: boolean): Device {
  const devices = addon.devices();
  const gpu = devices.find((device) => device.gpu);
  const { source } = addon.engineVersion();
  if (!gpu && (requireGpu || source.includes('cuda'))) {
    const found = devices.map((device) => device.name).join(', ') || 'nothing';
    const why = source.includes('cuda')
      ? `the CUDA engine found ${found}. \`nvidia-smi\` must list a GPU here, with driver 550 or newer`
      : `REQUIRE_GPU is set, and this engine (${source}) found ${found}`;
    throw new Error(`no GPU device: ${why}`);
  }
  const device = gpu ?? devices[0];
  if (!device) throw new Error('no device: the engine found neither a GPU nor a CPU back end');
  return device;
}

async function load(command: Extract<EngineCommand, { type: 'load' }>): Promise<void> {
  addon = openAddon();
  const device = chooseDevice(command.requireGpu);
  // On a CPU the engine takes every core; the API must still answer at once.
  if (!device.gpu) setPriority(constants.priority.PRIORITY_LOW);
  const options = {
    ...command.options,
    device: device.gpu ? device.name : undefined,
    flashAttention: device.gpu,
    directConvolution: device.gpu,
  };
  let told = -1;
  session = await addon.Session.load(options, (percent) => {
    // The engine reads its files in turn and counts each from 0; tens of messages say enough.
    if (Math.floor(percent / 10) === told) return;
    told = Math.floor(percent / 10);
    say({ type: 'loading', percent });
  });
  if (device.gpu) await warmUp(session);
  say({
    type: 'loaded',
    info: { device, version: addon.engineVersion(), hasIpAdapter: session.hasIpAdapter },
  });
}

/** On a GPU the first picture compiles kernels for this very card, for minutes: not at a user's expense. */
async function warmUp(loaded: Session): Promise<void> {
  say({ type: 'warming' });
  const options = { prompt: 'warm-up', width: 64, height: 64, steps: 1, guidanceScale: 5, seed: 0 };
  await loaded.generate(options).catch((error: unknown) => {
    // One step may well give a flat picture; an engine that cannot draw at all is not ready.
    if ((error as { code?: string }).code !== 'flat_picture') throw error;
  });
}

async function generate(command: Extract<EngineCommand, { type: 'generate' }>): Promise<void> {
  if (!session) throw new Error('the model is not loaded');
  const picture = await session.generate(command.options, (progress) => say({ type: 'progress', progress }));
  say({ type: 'generated', picture });
}

process.on('message', (command: EngineCommand) => {
  if (command.type === 'cancel') session?.cancel();
  else (command.type === 'load' ? load(command) : generate(command)).catch(fail);
});

// Ctrl-C reaches the whole process group: the service decides when its engine ends.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// The service is gone, so nobody waits for this picture; an orderly exit would wait for the engine's next check.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
