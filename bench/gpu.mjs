/**
 * SDXL on a GPU, with random weights: they take the same time. Part 1, the addon alone (gpu/addon.mjs); `--service`: part
 * 2, the whole service (gpu/service.mjs); `--pictures`: part 3, the demo's pictures beside the processor's
 * (gpu/pictures.mjs); `--pack FOLDER`: part 1 for another machine (gpu/pack.mjs). Each has its --help.
 */
const at = (/** @type {RegExp} */ name) => process.argv.findIndex((argument) => name.test(argument));
const part = ['service', 'pictures'].find((name) => at(new RegExp(`^--${name}$`)) >= 0);
if (at(/^--pack(=|$)/) >= 0) await import('./gpu/pack.mjs');
else if (part) {
  process.argv.splice(at(new RegExp(`^--${part}$`)), 1);
  await import(`./gpu/${part}.mjs`);
} else await import('./gpu/addon.mjs');
