/**
 * The engine process: owns one device, loads one model, draws one picture at a time. The engine aborts its process
 * when a CUDA call or an assertion fails; this process is there to be lost instead of the service.
 */
import { constants, setPriority } from 'node:os';
import type { EngineCommand, EngineEvent, LoadCommand, OpenCommand } from '@app/pipeline';
import type { Device, EngineVersion, Session } from '#native';
import { chooseDevice } from './device.choice';
import { sharedGpu, unusedDevices } from './device.warnings';
import { type DeviceSettings, isPrebuilt, settingsFor } from './device.settings';
import { kernelCacheProblem } from './kernel.cache';
import { lorasOf } from './memory.needs';
import { type CardPlan, planMemory } from './memory.plan';
import { warmUp, warmUps } from './warm.up';

type Addon = typeof import('#native');

const say = (event: EngineEvent): void => {
  process.send?.(event);
};

const fail = (error: unknown, id?: number): void => {
  const { code, message } = error as { code?: string; message?: string };
  say({ type: 'failed', id, code: code ?? 'generation_failed', message: message ?? String(error) });
};

let addon: Addon;
/** That the model is loaded onto. */
let device: Device;
let session: Session | undefined;
/** The picture that the engine draws. */
let running: number | undefined;
/** When it ended the last one; the warm-up is none. */
let restsSince: number | undefined;

function openAddon(): Addon {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- after the handlers below are in place
  const native = require('#native') as Addon;
  native.dieWithParent();
  native.onLog((level, line) => say({ type: 'log', level, line }), 'warn');
  return native;
}

/** Several engines without a share each would fight for the processors; alone it takes them all. */
function threads({ options, sharers }: LoadCommand): number | undefined {
  if (options.threads !== undefined || sharers === 1) return options.threads;
  return Math.max(1, Math.floor(addon.physicalCores() / sharers));
}

function warn(line: string | undefined): void {
  if (line) say({ type: 'log', level: 'warn', line });
}

/** Undefined where nobody measured what is needed: the figures are the pinned CUDA engine's, with flash attention. */
function planFor(
  version: EngineVersion,
  settings: DeviceSettings,
  wish: LoadCommand['memory'],
): CardPlan | undefined {
  const { flashAttention, vaeDirectConvolution } = settings;
  if (!wish || !flashAttention || !device.name.startsWith('CUDA') || !isPrebuilt(version)) return undefined;
  const memory = addon.deviceMemory(device.name);
  return (
    memory && planMemory({ ...wish, loras: lorasOf(wish), free: memory.free, vaeDirectConvolution }, wish)
  );
}

function open(command: OpenCommand): void {
  addon = openAddon();
  const found = { version: addon.engineVersion(), backEnds: addon.backEnds(), devices: addon.devices() };
  say({ type: 'opened', ...found });
  device = chooseDevice(found, command);
  say({ type: 'chosen', device });
  warn(unusedDevices(found, device, command.device));
  if (device.name.startsWith('CUDA')) warn(kernelCacheProblem(process.env));
  // Opening both blocks this thread, for seconds where CUDA has to be read from a disk.
  setInterval(() => say({ type: 'alive' }), command.heartbeat);
  // On a CPU the engine takes every core; the API must still answer at once.
  if (!device.gpu) setPriority(constants.priority.PRIORITY_LOW);
}

async function load(command: LoadCommand): Promise<void> {
  warn(sharedGpu(device, command.sharers));
  const version = addon.engineVersion();
  const settings = settingsFor(device, version, command.options);
  const plan = planFor(version, settings, command.memory);
  // The processor by its name, too: without one the engine takes the first GPU.
  const options = {
    ...command.options,
    threads: threads(command),
    device: device.name,
    ...settings,
    offloadEncoders: plan?.offloadEncoders,
  };
  let reported = -1;
  session = await addon.Session.load(options, (percent) => {
    // The engine reads its files in turn and counts each from 0; tens of messages say enough.
    if (Math.floor(percent / 10) === reported) return;
    reported = Math.floor(percent / 10);
    say({ type: 'loading', percent });
  });
  // On a GPU the first picture compiles kernels for this very card, for minutes: not at a user's expense.
  const paths = {
    ipAdapter: session.hasIpAdapter,
    photoMaker: options.photoMaker !== undefined,
    lora: options.loraMode === 'merged' ? undefined : command.lora,
  };
  const warming = (path?: string) => say({ type: 'warming', path });
  await warmUp(session, warmUps(device, paths, plan), { warming, warn });
  const free = plan && addon.deviceMemory(device.name)?.free;
  const promised = plan && free && Math.max(0, free - plan.leaves);
  say({
    type: 'loaded',
    info: { settings, hasIpAdapter: session.hasIpAdapter, plan, promised },
  });
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
    case 'open':
      try {
        return open(command);
      } catch (error) {
        return fail(error);
      }
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
