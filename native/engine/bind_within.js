'use strict';
/**
 * Makes a shared library bind its references to its own definitions first: what the linker's -Bsymbolic would have
 * done. The node executable exports parts of the C++ library from the compiler it was built with, and the loader
 * prefers those to the library's own. From Node 24 on the two differ in std::regex, and the first prompt crashed.
 * (RTLD_DEEPBIND is no way out: it also hides the executable's copies of the C++ library's data: std::bad_cast.)
 *
 * Format: ELF-64, little endian (System V ABI, chapters 4 and 5; x86-64 supplement).
 */
const fs = require('node:fs');

const PT_DYNAMIC = 2;
const DT_NULL = 0n;
const DT_SYMBOLIC = 16n;
const ENTRY = 16;

function dynamicSegment(elf) {
  const table = Number(elf.readBigUInt64LE(32));
  const [size, count] = [elf.readUInt16LE(54), elf.readUInt16LE(56)];
  for (let at = table; at < table + size * count; at += size) {
    if (elf.readUInt32LE(at) !== PT_DYNAMIC) continue;
    const start = Number(elf.readBigUInt64LE(at + 8));
    return { start, end: start + Number(elf.readBigUInt64LE(at + 32)) };
  }
  throw new Error('not a shared library');
}

/** Linkers leave spare entries at the end of the dynamic segment; one of them is used. */
function bindWithin(file) {
  const elf = fs.readFileSync(file);
  const { start, end } = dynamicSegment(elf);
  let at = start;
  for (; elf.readBigInt64LE(at) !== DT_NULL; at += ENTRY) if (elf.readBigInt64LE(at) === DT_SYMBOLIC) return;
  if (at + 2 * ENTRY > end) throw new Error(`${file} has no room for DT_SYMBOLIC`);
  const entry = Buffer.alloc(ENTRY);
  entry.writeBigInt64LE(DT_SYMBOLIC);
  const descriptor = fs.openSync(file, 'r+');
  fs.writeSync(descriptor, entry, 0, ENTRY, at);
  fs.closeSync(descriptor);
}

module.exports = { bindWithin };
