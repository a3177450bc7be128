import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';

type Level = 'info' | 'warn' | 'error';

/** What the engine and the back ends print when memory runs out, as their sources and logs have it (docs/engine.md). */
const OUT_OF_MEMORY: readonly [where: string, level: Level, line: string][] = [
  [
    'engine',
    'warn',
    'model manager cannot make enough memory available on Vulkan0: need 94.29 MB, available 0.00 MB',
  ],
  ['engine', 'error', 'model manager alloc params backend buffer failed, size = 1564.36MB'],
  ['engine', 'error', 'model manager alloc compute params backend buffer failed, num_tensors = 514'],
  ['engine', 'error', 'unet alloc compute buffer failed'],
  ['engine', 'error', 'vae alloc compute graph failed'],
  ['engine', 'error', 'read tensor data failed: too less memory for conversion'],
  ['ggml', 'error', 'ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)'],
  ['ggml', 'error', 'ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 1744830464'],
  ['ggml', 'error', 'alloc_tensor_range: failed to allocate Vulkan0 buffer of size 1037832192'],
  [
    'CUDA',
    'error',
    'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory',
  ],
  ['CUDA', 'error', 'CUDA error: out of memory'],
  ['CUDA', 'error', 'CUDA error: the resource allocation failed'],
  ['HIP', 'error', 'ROCm error: out of memory'],
  ['HIP', 'error', 'ROCm error: HIPBLAS_STATUS_ALLOC_FAILED'],
  ['HIP', 'error', 'CUDA error: CUBLAS_STATUS_ALLOC_FAILED'],
  ['Vulkan', 'error', 'ggml_vulkan: Device memory allocation of size 1037832192 failed.'],
  ['Vulkan', 'error', 'ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory'],
  ['Vulkan', 'error', 'ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfHostMemory'],
  ['Metal', 'error', 'ggml_metal_buffer_init: error: failed to allocate buffer, size =  4096.00 MiB'],
  ['Metal', 'error', 'error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)'],
  [
    'SYCL',
    'error',
    "ggml_backend_sycl_buffer_type_alloc_buffer: can't allocate 5368709120 Bytes of memory on device",
  ],
  ['SYCL', 'error', 'level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)'],
  ['OpenCL', 'error', 'ggml_opencl: clCreateBuffer error: CL_MEM_OBJECT_ALLOCATION_FAILURE'],
];

/** They speak of memory, and it did not run out. */
const OTHERS: readonly [where: string, level: Level, line: string][] = [
  ['engine', 'info', 'total params memory size = 7274.11MB (VRAM 7274.11MB, RAM 0.00MB)'],
  ['engine', 'warn', 'VAE decode ran out of memory; retrying with spatial tiling'],
  ['CUDA', 'warn', 'ggml_cuda_host_malloc: failed to allocate 128.00 MiB of pinned memory: out of memory'],
  [
    'Vulkan',
    'warn',
    'ggml_vulkan: Failed to allocate pinned memory (vk::Device::allocateMemory: ErrorOutOfHostMemory)',
  ],
  ['CUDA', 'error', 'CUDA error: an illegal memory access was encountered'],
  ['HIP', 'error', 'ROCm error: unspecified launch failure'],
  ['Vulkan', 'error', 'ggml_vulkan: Invalid device index'],
  ['engine', 'error', "unsupported dtype 'F4' (tensor 'a')"],
];

const MAIN = `
#include <iostream>
#include "engine_words.h"
int main() {
  for (std::string level, line; std::getline(std::cin, level, '\\t') && std::getline(std::cin, line);)
    std::cout << tells_out_of_memory(level == "error"  ? LogLevel::error
                                     : level == "warn" ? LogLevel::warn
                                                       : LogLevel::info, line)
              << tells_device_error(line) << "\\n";
}`;

describe('The words of the engine and its back ends', () => {
  const folder = temporaryFolder();
  let told: { outOfMemory: boolean; deviceError: boolean }[];
  const lines = [...OUT_OF_MEMORY, ...OTHERS];

  beforeAll(() => {
    const [sources, main, program] = [join(__dirname, '../../native/src'), 'main.cc', 'words'];
    writeFileSync(join(folder, main), MAIN);
    const files = [join(folder, main), join(sources, 'engine_words.cc')];
    const how = ['-std=c++17', '-I', sources, ...files, '-o', join(folder, program)];
    const { status, stderr } = spawnSync('c++', how, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    const input = lines.map(([, level, line]) => `${level}\t${line}\n`).join('');
    const { stdout } = spawnSync(join(folder, program), { input, encoding: 'utf8' });
    told = stdout
      .trim()
      .split('\n')
      .map((row) => ({ outOfMemory: row.startsWith('1'), deviceError: row.endsWith('1') }));
  });

  it.each(OUT_OF_MEMORY)('should tell that memory ran out: %s, %s, "%s"', (_where, _level, line) =>
    expect(told[lines.findIndex((one) => one[2] === line)]).toMatchObject({ outOfMemory: true }),
  );

  it.each(OTHERS)('should not take for it: %s, %s, "%s"', (_where, _level, line) =>
    expect(told[lines.findIndex((one) => one[2] === line)]).toMatchObject({ outOfMemory: false }),
  );

  it('should know errors of devices by the names that ggml gives them', () => {
    const named = lines.filter((_, i) => told[i].deviceError).map(([, , line]) => line.split(':')[0]);
    expect(new Set(named)).toEqual(new Set(['CUDA error', 'ROCm error']));
  });
});
