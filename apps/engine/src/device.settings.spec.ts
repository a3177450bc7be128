import { settingsFor } from './device.settings';

const device = (name: string, gpu = true) => ({ name, description: '', gpu });

describe(settingsFor.name, () => {
  it.each([
    ['the processor', device('CPU', false), 'prebuilt cpu', false, false],
    ['CUDA with the pinned engine', device('CUDA0'), 'prebuilt cuda12', true, true],
    ['CUDA with an own engine, whose kernel may be slow', device('CUDA0'), 'SD_CPP_ROOT', true, false],
    ['Vulkan with any engine', device('Vulkan0'), 'SD_CPP_ROOT', true, true],
  ])('should choose what pays on %s', (_what, device, source, flashAttention, vaeDirectConvolution) => {
    expect(settingsFor(device, { source }, {})).toEqual({
      flashAttention,
      vaeDirectConvolution,
      unetDirectConvolution: false,
    });
  });

  it('should do as it is told', () => {
    const wishes = { flashAttention: false, vaeDirectConvolution: true, unetDirectConvolution: true };
    expect(settingsFor(device('CUDA0'), { source: 'SD_CPP_ROOT' }, wishes)).toEqual(wishes);
  });
});
