/** Without the order CUDA counts the fastest GPU first, and not as nvidia-smi does. */
const ORDER = { CUDA_DEVICE_ORDER: 'PCI_BUS_ID' };

/**
 * What is added to the environment of an engine on this device of ENGINE_DEVICES. A GPU that goes by its number or UUID is
 * the only one that its process sees, whatever the engine was built for: each runtime has a variable of its own, and what
 * it inherits of that does not count. A device that goes by its name is found among all.
 */
export function visibleDevices(device: string): Readonly<Record<string, string>> {
  if (/^\d+$/.test(device))
    return {
      ...ORDER,
      CUDA_VISIBLE_DEVICES: device,
      HIP_VISIBLE_DEVICES: device,
      MUSA_VISIBLE_DEVICES: device,
      GGML_VK_VISIBLE_DEVICES: device,
      ONEAPI_DEVICE_SELECTOR: `level_zero:${device}`,
    };
  // AMD's HIP counts what the runtime below it (ROCR) lets it see, and only that one knows UUIDs.
  if (device.startsWith('GPU-'))
    return {
      ...ORDER,
      CUDA_VISIBLE_DEVICES: device,
      ROCR_VISIBLE_DEVICES: device,
      HIP_VISIBLE_DEVICES: '0',
    };
  return device.startsWith('MIG-') ? { ...ORDER, CUDA_VISIBLE_DEVICES: device } : ORDER;
}
