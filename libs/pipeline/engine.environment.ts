/**
 * What of the service's environment an engine process gets. It parses model files of strangers, so it gets no more than
 * the loader, the runtimes of the devices and the engine read: none of the service's own variables, and no secrets.
 */
const NAMES = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'TMP', 'TEMP', 'TZ', 'LANG', 'LANGUAGE', 'GLIBC_TUNABLES'],
  ...['NODE_ENV', 'NODE_OPTIONS', 'NODE_V8_COVERAGE', 'ENGINE_SANITIZE'],
  ...[
    'NVIDIA_VISIBLE_DEVICES',
    'NVIDIA_DRIVER_CAPABILITIES',
    'NVIDIA_TF32_OVERRIDE',
    'ONEAPI_DEVICE_SELECTOR',
  ],
];
const FAMILIES = [
  ...['LC', 'LD', 'MALLOC', 'XDG', 'OMP', 'GOMP', 'KMP', 'MKL', 'OPENBLAS', 'GGML', 'SD'],
  ...['ASAN', 'LSAN', 'UBSAN', 'TSAN'],
  ...['CUDA', 'CUBLAS', '__NV', '__GL', 'HIP', 'HSA', 'ROCR', 'ROCM', 'ROCBLAS', 'HIPBLASLT', 'AMD', 'GPU'],
  ...['VK', 'MESA', 'GALLIUM', 'LIBGL', 'LP', 'RADV', 'ACO', 'ANV', 'INTEL', 'NIR', 'DRI'],
  ...['ZE', 'ZES', 'SYCL', 'UR', 'IGC', 'NEO', 'OCL', 'MUSA', 'ASCEND'],
];
const HANDED_ON = new RegExp(`^(${NAMES.join('|')}|(${FAMILIES.join('|')})_.*)$`);
/** Whatever the family: makers of devices have services with keys, too. */
const SECRET = /KEY|TOKEN|SECRET|PASSW|CREDENTIAL/;

export const engineEnvironment = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(environment).filter(([name]) => HANDED_ON.test(name) && !SECRET.test(name)),
  );
