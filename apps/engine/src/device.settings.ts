import type { Device, EngineVersion, LoadOptions } from '#native';

/** Its kernels and figures are known; those of an own engine are whatever it was built from. */
export const isPrebuilt = ({ source }: Pick<EngineVersion, 'source'>) => source.startsWith('prebuilt');

/** How a device computes, as far as the pictures' speed and memory depend on it. */
export type DeviceSettings = Required<
  Pick<LoadOptions, 'flashAttention' | 'vaeDirectConvolution' | 'unetDirectConvolution'>
>;

/**
 * What pays on a back end, and where that is known from:
 * - Flash attention in the UNet: less memory and time on CUDA and Vulkan (stable-diffusion.cpp, docs/performance.md); on
 *   CPUs it is slower.
 * - Direct convolution in the VAE: on Vulkan 20 -> 6 s and 1,664 -> 640 MB; with the pinned engine's CUDA kernels, which
 *   use tensor cores, 1.29 -> 0.77 s and 7.5 -> 2.3 GB. Upstream's 97d2990 has a plain CUDA kernel, 22 times slower than
 *   the usual way on an H200 (docs/sizing.md), so an own engine does not get it unasked. On CPUs it is a little slower.
 * - Direct convolution in the UNet: 13 times slower there.
 */
export function settingsFor(
  { gpu, name }: Device,
  version: Pick<EngineVersion, 'source'>,
  wishes: Partial<DeviceSettings>,
): DeviceSettings {
  const kernelIsKnown = !name.startsWith('CUDA') || isPrebuilt(version);
  const defaults = {
    flashAttention: gpu,
    vaeDirectConvolution: gpu && kernelIsKnown,
    unetDirectConvolution: false,
  };
  return {
    flashAttention: wishes.flashAttention ?? defaults.flashAttention,
    vaeDirectConvolution: wishes.vaeDirectConvolution ?? defaults.vaeDirectConvolution,
    unetDirectConvolution: wishes.unetDirectConvolution ?? defaults.unetDirectConvolution,
  };
}
