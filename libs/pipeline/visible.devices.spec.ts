import { visibleDevices } from './visible.devices';

describe(visibleDevices.name, () => {
  it('should leave of every maker one GPU to an engine whose device is a number', () => {
    expect(visibleDevices('3')).toEqual({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_VISIBLE_DEVICES: '3',
      HIP_VISIBLE_DEVICES: '3',
      MUSA_VISIBLE_DEVICES: '3',
      GGML_VK_VISIBLE_DEVICES: '3',
      ONEAPI_DEVICE_SELECTOR: 'level_zero:3',
    });
  });

  it("should leave the one that a UUID names: NVIDIA's, or the first of what AMD's runtime then has", () => {
    const order = { CUDA_DEVICE_ORDER: 'PCI_BUS_ID' };
    const uuid = 'GPU-4b2c1a9f-8d3e-6f7a-b5c9-2e4d8a1f6c3b';
    expect(visibleDevices(uuid)).toEqual({
      ...order,
      CUDA_VISIBLE_DEVICES: uuid,
      ROCR_VISIBLE_DEVICES: uuid,
      HIP_VISIBLE_DEVICES: '0',
    });
    // Only NVIDIA's have parts.
    expect(visibleDevices('MIG-1')).toEqual({ ...order, CUDA_VISIBLE_DEVICES: 'MIG-1' });
  });

  it.each(['CUDA1', 'Vulkan0', 'CPU'])(
    'should hide nothing from an engine on %s, which is found by its name',
    (name) => expect(visibleDevices(name)).toEqual({ CUDA_DEVICE_ORDER: 'PCI_BUS_ID' }),
  );
});
