import { sharedGpu, unusedDevices } from './device.warnings';

const CPU = { name: 'CPU', description: 'A processor', gpu: false };
const [FIRST, SECOND] = [0, 1].map((n) => ({ name: `CUDA${n}`, description: `Card ${n}`, gpu: true }));
const NO_DRIVER = { name: 'cuda', devices: 0, problem: 'the NVIDIA driver is not here' };

describe(unusedDevices.name, () => {
  const version = { source: 'SD_CPP_ROOT' };
  const warn = (
    devices: (typeof CPU & { capability?: number })[],
    chosen = devices[0],
    wanted?: string,
    backEnds = [{ name: 'cpu', devices: 1 }],
  ) => unusedDevices({ version, devices, backEnds }, chosen, wanted);

  it('should name the GPUs that nothing is drawn on, and how to', () => {
    expect(warn([FIRST, SECOND, CPU])).toBe(
      'CUDA0 draws and CUDA1 (Card 1) does not: ENGINE_DEVICES=CUDA0,CUDA1 keeps an engine on each',
    );
    expect(warn([FIRST, CPU])).toBeUndefined();
    expect(warn([CPU])).toBeUndefined();
  });

  it('should say nothing where the device was chosen by its name', () => {
    expect(warn([FIRST, SECOND, CPU], SECOND, 'CUDA1')).toBeUndefined();
    expect(warn([FIRST, SECOND, CPU], CPU, 'CPU')).toBeUndefined();
    expect(warn([CPU], CPU, 'CPU', [NO_DRIVER])).toBeUndefined();
  });

  it('should not offer a card that is too old, nor the same cards by another back end', () => {
    const backEnds = [{ name: 'cuda', devices: 2, leastCapability: 7.5 }];
    const old = { ...SECOND, capability: 6.1 };
    expect(warn([{ ...FIRST, capability: 8.9 }, old, CPU], undefined, undefined, backEnds)).toBeUndefined();
    expect(warn([FIRST, { ...SECOND, name: 'Vulkan0' }, CPU])).toBeUndefined();
  });

  it('should say why an engine that has something for GPUs draws on the processor', () => {
    expect(warn([CPU], CPU, undefined, [NO_DRIVER, { name: 'cpu', devices: 1 }])).toBe(
      'no GPU is used, pictures are drawn on the processor: cuda: the NVIDIA driver is not here. ENGINE_DEVICES=CPU if that is meant',
    );
  });
});

describe(sharedGpu.name, () => {
  it('should warn of engines that ENGINE_PROCESSES puts on one GPU', () => {
    expect(sharedGpu(FIRST, 3)).toBe(
      'ENGINE_PROCESSES=3 keeps 3 engines on CUDA0, and none knows what memory the others take: name GPUs in ENGINE_DEVICES, one twice for two engines on it',
    );
    expect(sharedGpu(FIRST, 1)).toBeUndefined();
    expect(sharedGpu(CPU, 3)).toBeUndefined();
  });
});
