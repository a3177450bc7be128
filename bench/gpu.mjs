/**
 * SDXL on a GPU, with random weights: they take the same time. Part 1, the addon alone (gpu/addon.mjs); `--service`: part
 * 2, the whole service (gpu/service.mjs); `--pack FOLDER`: part 1 for another machine (gpu/pack.mjs). Each has its --help.
 */
const [packs, service] = [/^--pack(=|$)/, /^--service$/].map((name) =>
  process.argv.findIndex((argument) => name.test(argument)),
);
if (packs >= 0) await import('./gpu/pack.mjs');
else if (service >= 0) {
  process.argv.splice(service, 1);
  await import('./gpu/service.mjs');
} else await import('./gpu/addon.mjs');
