import { EngineWords } from './engine.words';

/** Lines of the process, as they come: of the addon, of what an exception leaves on standard error, of the engine. */
const LINES: readonly [level: 'warn' | 'error', outOfMemory: boolean, line: string][] = [
  ['error', true, 'out of memory: model manager cannot make enough memory available on CUDA0: need 94.29 MB'],
  ['error', true, 'CUDA error: out of memory'],
  ['error', true, "terminate called after throwing an instance of 'std::bad_alloc'"],
  ['error', true, "terminate called after throwing an instance of 'vk::OutOfDeviceMemoryError'"],
  ['error', true, '  what():  vk::Device::createBuffer: ErrorOutOfHostMemory'],
  ['error', true, 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory'],
  ['error', false, 'CUDA error: an illegal memory access was encountered'],
  ['error', false, "terminate called after throwing an instance of 'vk::DeviceLostError'"],
  ['error', false, 'GGML_ASSERT(!chunk_hidden_states.empty()) failed'],
  ['warn', false, 'VAE decode ran out of memory; retrying with spatial tiling'],
  ['warn', false, 'failed to allocate 128.00 MiB of pinned memory: out of memory'],
  [
    'warn',
    false,
    'ggml_vulkan: Failed to allocate pinned memory (vk::Device::allocateMemory: ErrorOutOfHostMemory)',
  ],
];

describe(EngineWords.name, () => {
  it.each(LINES)('should take as %s, out of memory %s: %s', (level, outOfMemory, line) => {
    const words = new EngineWords();
    words.hear(line, level);
    expect(words.outOfMemory).toBe(outOfMemory);
    expect(words.lines).toEqual([line]);
  });

  it('should name the last cause that the device gave', () => {
    const words = new EngineWords();
    expect(words.cause).toBeUndefined();
    for (const line of [
      'out of memory: cudaMalloc failed',
      'a trace of the stack',
      'ROCm error: invalid argument',
      'more',
    ])
      words.hear(line, 'error');
    expect(words.cause).toBe('ROCm error: invalid argument');
  });
});
