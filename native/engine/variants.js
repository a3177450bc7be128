'use strict';
/**
 * The prebuilt engines, and what this machine is missing of what they need.
 *
 * Sizes were measured: the wheels, what is kept of them, and both at once, with some margin. glibc is the newest
 * version that a library of the variant asks for (readelf -V), which is older than what the wheels' names promise;
 * test/native/variants.spec.ts holds it against the libraries that are here.
 */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** The CUDA code inside was compiled by a toolkit that older drivers do not know. */
const NVIDIA_DRIVER = 550;

/** @typedef {'cpu' | 'cuda12' | 'vulkan'} Variant */

/**
 * Sizes in megabytes: the download, what stays on the disk, and what must be free while it is unpacked.
 *
 * @type {Record<Variant, { draws: string, download: number, disk: number, room: number, glibc: string,
 *   needs: (() => string | undefined)[] }>}
 */
const VARIANTS = {
  cpu: {
    draws: 'any CPU with AVX2',
    download: 24,
    disk: 40,
    room: 80,
    glibc: '2.17',
    needs: [avx2],
  },
  cuda12: {
    draws: 'NVIDIA GPUs, Turing or newer',
    download: 491,
    disk: 858,
    room: 1_500,
    glibc: '2.17',
    needs: [avx2, nvidiaDriver, library('libgomp.so.1', 'libgomp1')],
  },
  vulkan: {
    draws: 'AMD, Intel and NVIDIA GPUs',
    download: 36,
    disk: 90,
    room: 150,
    glibc: '2.27',
    needs: [avx2, library('libvulkan.so.1', 'libvulkan1'), vulkanDriver, library('libgomp.so.1', 'libgomp1')],
  },
};

const VARIANT_NAMES = /** @type {Variant[]} */ (Object.keys(VARIANTS));

/** The version of the C library; undefined where there is none of that kind. */
function glibc() {
  if (process.platform !== 'linux') return undefined;
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return header.glibcVersionRuntime;
}

/** @type {(version: string, than: string) => boolean} */
const older = (version, than) => {
  const [[major, minor], [needsMajor, needsMinor]] = [version, than].map((text) =>
    text.split('.').map(Number),
  );
  return major < needsMajor || (major === needsMajor && minor < needsMinor);
};

/**
 * Why `variant` cannot even be loaded here; undefined when it can.
 *
 * @param {Variant} variant
 */
function unusable(variant) {
  const { platform, arch } = process;
  const here = glibc();
  if (!here || arch !== 'x64') {
    const where = platform === 'linux' && !here ? 'Linux without glibc (Alpine)' : `${platform} on ${arch}`;
    return `There is no prebuilt engine for ${where}`;
  }
  const wanted = VARIANTS[variant].glibc;
  if (older(here, wanted)) return `The ${variant} engine needs glibc ${wanted} or newer, and here is ${here}`;
  return undefined;
}

/**
 * What is missing for drawing, each with what to do; the engine is fetched all the same, an image is built elsewhere.
 *
 * @param {Variant} variant
 */
function missing(variant) {
  return VARIANTS[variant].needs.map((need) => need()).filter((sentence) => sentence !== undefined);
}

function avx2() {
  const flags = /^flags\s*:.*$/m.exec(read('/proc/cpuinfo'))?.[0];
  return flags && !/\bavx2\b/.test(flags) ? 'a CPU with AVX2' : undefined;
}

/**
 * A need for a library of the system, under Debian's name for it.
 *
 * @param {string} name
 * @param {string} debian
 */
function library(name, debian) {
  return () => (loads(name) ? undefined : `${name} (Debian: ${debian})`);
}

const hasNvidiaDriver = () =>
  ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'].some((file) => fs.existsSync(file));

function nvidiaDriver() {
  const wanted = `an NVIDIA driver, ${NVIDIA_DRIVER} or newer`;
  if (!loads('libcuda.so.1')) return `${wanted} (libcuda.so.1)`;
  const version = driverVersion(read('/proc/driver/nvidia/version'));
  return version !== undefined && version < NVIDIA_DRIVER ? `${wanted} (here is ${version})` : undefined;
}

/**
 * Of the kernel module's line: "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu …".
 *
 * @param {string} text
 */
function driverVersion(text) {
  const [, version] = /^NVRM version:.*?\s(\d{3,})\.\d/m.exec(text) ?? [];
  return version === undefined ? undefined : Number(version);
}

/** The Vulkan loader finds drivers by such lists (its LoaderDriverInterface.md). */
function vulkanDriver() {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  const folders = ['/etc', '/usr/local/etc', '/usr/local/share', '/usr/share'];
  const lists = folders.map((folder) => path.join(folder, 'vulkan/icd.d'));
  const found = named
    ? named.split(':').some((file) => fs.existsSync(file))
    : lists.some((folder) => fs.existsSync(folder) && fs.readdirSync(folder).length > 0);
  return found ? undefined : 'a Vulkan driver (Debian: mesa-vulkan-drivers)';
}

/**
 * Whether the loader finds a library. It is asked in a process of its own: a driver does what it likes there.
 *
 * @param {string} name
 */
function loads(name) {
  const script =
    'try { process.dlopen({ exports: {} }, process.argv[1]) } catch (e) { console.log(e.message) }';
  const { stdout } = spawnSync(process.execPath, ['-e', script, name], { encoding: 'utf8' });
  // Found, and no addon of Node.
  return stdout.includes('did not self-register');
}

/** @param {string} file */
function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

module.exports = { VARIANTS, VARIANT_NAMES, driverVersion, glibc, hasNvidiaDriver, missing, older, unusable };
