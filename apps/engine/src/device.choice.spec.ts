import { chooseDevice, type Found } from './device.choice';

const CPU = { name: 'CPU', description: 'A processor', gpu: false };
const GPU = { name: 'CUDA0', description: 'A GPU', gpu: true };
const VULKAN = { name: 'Vulkan1', description: 'Another GPU', gpu: true };
const NO_DRIVER = { name: 'cuda', devices: 0, problem: 'the NVIDIA driver is not here' };

describe(chooseDevice.name, () => {
  const found = (source: string, devices: Found['devices'], backEnds: Found['backEnds'] = []): Found => ({
    version: { source },
    devices,
    backEnds,
  });
  const choose = (all: Found, device?: string, requireGpu = false) =>
    chooseDevice(all, { device, requireGpu });

  it('should take the first GPU, else the processor', () => {
    expect(choose(found('prebuilt cuda12', [GPU, VULKAN, CPU]))).toBe(GPU);
    expect(choose(found('prebuilt cuda12', [GPU, CPU]), undefined, true)).toBe(GPU);
    expect(choose(found('prebuilt cpu', [CPU]))).toBe(CPU);
    expect(choose(found('SD_CPP_ROOT', [CPU], [NO_DRIVER]))).toBe(CPU);
  });

  it('should take the device that is named, however it is spelled', () => {
    const all = found('SD_CPP_ROOT', [GPU, VULKAN, CPU]);
    expect(choose(all, 'Vulkan1')).toBe(VULKAN);
    expect(choose(all, 'cpu')).toBe(CPU);
    expect(choose(found('prebuilt cuda12', [CPU], [NO_DRIVER]), 'CPU')).toBe(CPU);
  });

  it('should say what there is where the named one is not', () => {
    expect(() => choose(found('prebuilt vulkan', [VULKAN, CPU]), 'Vulkan7')).toThrow(
      'no device "Vulkan7" (ENGINE_DEVICES): this engine (prebuilt vulkan) found Vulkan1, CPU',
    );
  });

  it.each(['3', 'GPU-0b1c', 'MIG-0b1c'])('should not put the processor in the place of GPU %s', (device) => {
    expect(choose(found('SD_CPP_ROOT', [GPU, CPU]), device)).toBe(GPU);
    expect(() => choose(found('SD_CPP_ROOT', [CPU], [NO_DRIVER]), device)).toThrow(
      `no GPU device "${device}" (ENGINE_DEVICES): this engine (SD_CPP_ROOT) found CPU; cuda: the NVIDIA driver is not here`,
    );
  });

  it.each(['GPU-0b1c', 'MIG-0b1c'])(
    "should not take another maker's GPU for %s, which hides none of these",
    (device) => {
      expect(choose(found('SD_CPP_ROOT', [VULKAN, GPU, CPU]), device)).toBe(GPU);
      for (const devices of [
        [VULKAN, CPU],
        [{ ...GPU, name: 'SYCL0' }, CPU],
      ])
        expect(() => choose(found('prebuilt vulkan', devices), device)).toThrow(
          `no GPU device "${device}" (ENGINE_DEVICES): this engine (prebuilt vulkan) found ${devices[0].name}, CPU`,
        );
      const amd = { ...GPU, name: 'ROCm0' };
      if (device.startsWith('GPU-')) expect(choose(found('SD_CPP_ROOT', [amd, CPU]), device)).toBe(amd);
      else
        expect(() => choose(found('SD_CPP_ROOT', [amd, CPU]), device)).toThrow(`no GPU device "${device}"`);
    },
  );

  it('should not guess where a number hid nothing', () => {
    const two = [GPU, { ...GPU, name: 'CUDA1' }, CPU];
    expect(() => choose(found('SD_CPP_ROOT', two), '1')).toThrow(
      'no GPU device "1" (ENGINE_DEVICES) alone: this engine (SD_CPP_ROOT) found CUDA0, CUDA1, CPU; name one of them',
    );
    const metal = { ...GPU, name: 'MTL0' };
    expect(choose(found('SD_CPP_ROOT', [metal, CPU]), '0')).toBe(metal);
    expect(() => choose(found('SD_CPP_ROOT', [metal, CPU]), '1')).toThrow(
      'no GPU device "1" (ENGINE_DEVICES)',
    );
    // One of each kind is what the variables of several back ends leave.
    expect(choose(found('SD_CPP_ROOT', [GPU, { ...VULKAN, name: 'Vulkan0' }, CPU]), '1')).toBe(GPU);
  });

  it('should not draw on the processor with an engine for GPUs, and say why it has none', () => {
    for (const source of ['prebuilt cuda12', 'prebuilt vulkan'])
      expect(() => choose(found(source, [CPU], [NO_DRIVER]))).toThrow(
        `no GPU device: this engine (${source}) found CPU; cuda: the NVIDIA driver is not here. ENGINE_DEVICES=CPU draws`,
      );
  });

  it('should hold to REQUIRE_GPU', () => {
    const reason = 'no GPU device: REQUIRE_GPU is set, and ';
    expect(() => choose(found('prebuilt cpu', [CPU]), undefined, true)).toThrow(
      `${reason}this engine (prebuilt cpu) found CPU`,
    );
    expect(() => choose(found('prebuilt cpu', [CPU]), 'CPU', true)).toThrow(`${reason}CPU is none`);
  });

  describe('with a card that is older than the code of the engine', () => {
    const OLD = { name: 'CUDA0', description: 'GTX 1080', gpu: true, capability: 6.1 };
    const NEW = { name: 'CUDA1', description: 'RTX 4090', gpu: true, capability: 8.9 };
    const CUDA = [{ name: 'cuda', devices: 1, leastCapability: 7.5 }];
    const tooOld = 'the GPU CUDA0 (GTX 1080) is too old: its compute capability is 6.1, and this engine';

    it('should not put the processor in its place', () => {
      for (const source of ['prebuilt cuda12', 'SD_CPP_ROOT']) {
        expect(() => choose(found(source, [OLD, CPU], CUDA))).toThrow(
          `${tooOld} (${source}) has code from 7.5 on`,
        );
        expect(() => choose(found(source, [OLD, CPU], CUDA), '0')).toThrow(tooOld);
        expect(() => choose(found(source, [OLD, NEW, CPU], CUDA), 'CUDA0')).toThrow(tooOld);
        expect(choose(found(source, [OLD, CPU], CUDA), 'CPU')).toBe(CPU);
      }
    });

    it('should take a newer one that is there, too', () => {
      expect(choose(found('prebuilt cuda12', [OLD, NEW, CPU], CUDA))).toBe(NEW);
    });

    it('should take it where the engine does not tell what it has code for', () => {
      expect(choose(found('SD_CPP_ROOT', [OLD, CPU]))).toBe(OLD);
    });
  });

  it('should call an engine broken that has not even a processor', () => {
    expect(() => choose(found('prebuilt cuda12', [], [NO_DRIVER]))).toThrow(
      'broken engine: it lists no device at all, not even the processor; cuda: the NVIDIA driver is not here',
    );
  });
});
