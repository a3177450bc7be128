'use strict';
/**
 * Two changes to how the loader treats a shared library, without a linker:
 *
 * 1. It binds its references to its own definitions first: what the linker's -Bsymbolic would have done. The node
 *    executable exports parts of the C++ library from the compiler it was built with, and the loader prefers those to
 *    the library's own. From Node 24 on the two differ in std::regex, and the first prompt crashed. (RTLD_DEEPBIND is no
 *    way out: it also hides the executable's copies of the C++ library's data: std::bad_cast.)
 * 2. It no longer needs libraries that the addon loads by itself. The engine's module asks for its back ends and the
 *    GPU's driver although it uses nothing of them, and without the driver it could then not say what is missing.
 *
 * Format: ELF-64, little endian (System V ABI, chapters 4 and 5; x86-64 supplement).
 */
const fs = require('node:fs');

const PT_DYNAMIC = 2;
const DT_NULL = 0n;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const DT_SYMBOLIC = 16n;
const PT_LOAD = 1;
const ENTRY = 16;

/** "\x7fELF", 64 bits, little endian. */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

/** @param {Buffer} elf */
function segments(elf) {
  if (!elf.subarray(0, MAGIC.length).equals(MAGIC)) return [];
  const table = Number(elf.readBigUInt64LE(32));
  const [size, count] = [elf.readUInt16LE(54), elf.readUInt16LE(56)];
  return Array.from({ length: count }, (_, i) => table + i * size).map((at) => ({
    type: elf.readUInt32LE(at),
    offset: Number(elf.readBigUInt64LE(at + 8)),
    address: Number(elf.readBigUInt64LE(at + 16)),
    size: Number(elf.readBigUInt64LE(at + 32)),
  }));
}

/**
 * Where in the file an address of the loaded library is.
 *
 * @param {number} address
 * @param {ReturnType<typeof segments>} all
 */
function offsetOf(address, all) {
  const segment = all.find(
    ({ type, address: from, size }) => type === PT_LOAD && address >= from && address < from + size,
  );
  if (!segment) throw new Error(`No segment holds the address ${address}`);
  return address - segment.address + segment.offset;
}

/** @type {(elf: Buffer, at: number) => string} */
const textAt = (elf, at) => elf.toString('latin1', at, elf.indexOf(0, at));

/**
 * @param {string} file
 * @param {RegExp} [unneeded] matches the names of libraries that it must not ask for any more
 */
function adaptLibrary(file, unneeded = /$^/) {
  const elf = fs.readFileSync(file);
  const all = segments(elf);
  const dynamic = all.find(({ type }) => type === PT_DYNAMIC);
  if (!dynamic) throw new Error(`${file} is not a shared library`);
  const entries = [];
  for (let at = dynamic.offset; elf.readBigInt64LE(at) !== DT_NULL; at += ENTRY)
    entries.push({ tag: elf.readBigInt64LE(at), value: elf.readBigUInt64LE(at + 8) });
  const strings = offsetOf(Number(entries.find(({ tag }) => tag === DT_STRTAB)?.value), all);
  /** @param {typeof entries[number]} entry */
  const stays = ({ tag, value }) =>
    tag !== DT_SYMBOLIC && !(tag === DT_NEEDED && unneeded.test(textAt(elf, strings + Number(value))));
  const kept = [...entries.filter(stays), { tag: DT_SYMBOLIC, value: 0n }];
  // Linkers leave spare entries at the end; the last must stay empty.
  const room = Math.floor(dynamic.size / ENTRY);
  if (kept.length >= room) throw new Error(`${file} has no room for DT_SYMBOLIC`);
  const section = Buffer.alloc(room * ENTRY);
  kept.forEach(({ tag, value }, i) => {
    section.writeBigInt64LE(tag, i * ENTRY);
    section.writeBigUInt64LE(value, i * ENTRY + 8);
  });
  const descriptor = fs.openSync(file, 'r+');
  fs.writeSync(descriptor, section, 0, section.length, dynamic.offset);
  fs.closeSync(descriptor);
}

module.exports = { adaptLibrary };
