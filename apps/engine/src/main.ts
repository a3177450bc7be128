/**
 * The engine process: owns one device, loads one model, draws one picture at a time. The engine aborts its process
 * when a CUDA call or an assertion fails; this process is there to be lost instead of the service.
 */
import { constants, setPriority } from 'node:os';
import type { EngineCommand, EngineEvent, LoadCommand } from '@app/pipeline';
import type { Device, Session } from '#native';

type Addon = typeof import('#native');

const say = (event: EngineEvent): void => {
  process.send?.(event);
};

const fail = (error: unknown, id?: number): void => {
  const { code, message } = error as { code?: string; message?: string };
  say({ type: 'failed', id, code: code ?? 'generation_failed', message: message ?? String(error) });
};

let addon: Addon;
let session: Session | undefined;
/** The picture that the engine draws. */
let running: number | undefined;
/** When it ended the last one; the warm-up is none. */
let restsSince: number | undefined;

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

/** Several engines without a share each would fight for the processors; alone it takes them all. */
function threads({ options, sharers }: LoadCommand): number | undefined {
  if (options.threads !== undefined || sharers === 1) return options.threads;
  return Math.max(1, Math.floor(addon.physicalCores() / sharers));
}

async function load(command: LoadCommand): Promise<void> {
  addon = openAddon();
  const device = chooseDevice(command.requireGpu);
  // Opening both blocks this thread, for seconds where CUDA has to be read from a disk.
  setInterval(() => say({ type: 'alive' }), command.heartbeat);
  // On a CPU the engine takes every core; the API must still answer at once.
  if (!device.gpu) setPriority(constants.priority.PRIORITY_LOW);
  const options = {
    ...command.options,
    threads: threads(command),
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
  if (device.gpu || command.probe) await warmUp(session);
  say({
    type: 'loaded',
    info: { device, version: addon.engineVersion(), hasIpAdapter: session.hasIpAdapter },
  });
}

/** On a GPU the first picture compiles kernels for this very card, for minutes: not at a user's expense. Elsewhere a probe. */
async function warmUp(loaded: Session): Promise<void> {
  say({ type: 'warming' });
  const options = { prompt: 'warm-up', width: 64, height: 64, steps: 1, guidanceScale: 5, seed: 0 };
  await loaded.generate(options).catch((error: unknown) => {
    // One step may well give a flat picture; an engine that cannot draw at all is not ready.
    if ((error as { code?: string }).code !== 'flat_picture') throw error;
  });
  say({ type: 'warmed' });
}

async function generate({ id, options }: Extract<EngineCommand, { type: 'generate' }>): Promise<void> {
  if (!session) throw new Error('the model is not loaded');
  const idle = restsSince === undefined ? undefined : performance.now() - restsSince;
  running = id;
  const drawing = session.generate(options, (progress) => say({ type: 'progress', id, progress }));
  const picture = await drawing.finally(() => {
    running = undefined;
    restsSince = performance.now();
  });
  // Before the pixels: a megabyte takes the channel a millisecond or two, and the next picture can come meanwhile.
  say({ type: 'drawn', id });
  say({ type: 'generated', id, picture: { ...picture, idle } });
}

process.on('message', (command: EngineCommand) => {
  switch (command.type) {
    case 'load':
      return void load(command).catch((error: unknown) => fail(error));
    case 'generate':
      return void generate(command).catch((error: unknown) => fail(error, command.id));
    case 'previews':
      return command.id === running ? session?.watchPreviews(command.on) : undefined;
    case 'cancel':
      return command.id === running ? session?.cancel() : undefined;
  }
});

// Ctrl-C reaches the whole process group: the service decides when its engine ends.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// The service is gone, so nobody waits for this picture; an orderly exit would wait for the engine's next check.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
