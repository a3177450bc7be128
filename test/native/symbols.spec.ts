import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { demoModel, temporaryFolder } from '../support/demo';

const ADDON = join(__dirname, '../../native/index.js');

/**
 * The node executable exports templates of the C++ library as its own compiler made them. With Node 24 the engine died
 * in std::regex at the first prompt because the loader gave it node's; with every Node some are taken unless it is told.
 */
describe('The addon: which C++ library it runs', () => {
  const folder = temporaryFolder();

  it("should not bind the engine's own templates to those of the node executable", async () => {
    const { checkpoint } = await demoModel();
    const script = `
      const picture = { prompt: 'a fox', width: 64, height: 64, steps: 1, guidanceScale: 1, seed: 7 };
      require(${JSON.stringify(ADDON)})
        .Session.load({ model: process.argv[1], textEncoderType: 'q8_0' })
        .then((session) => session.generate(picture))
        .then(() => console.log('drawn'), console.error);`;
    const env = { ...process.env, LD_DEBUG: 'bindings', LD_DEBUG_OUTPUT: join(folder, 'bindings') };
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, checkpoint], {
      encoding: 'utf8',
      env,
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'drawn\n', stderr: '' });

    const log = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'latin1'));
    const bindings = log.join('').match(/^.*binding file \S*libstable-diffusion\S* .*$/gm) ?? [];
    expect(bindings.length).toBeGreaterThan(100);
    // What the C++ library itself exports has a version; node's copy of that is the one that all must share.
    const templates = bindings.filter((line) => / to \S*node \[0\]: normal symbol `_ZN?K?S\S*'$/.test(line));
    expect(templates).toEqual([]);
  });
});

describe('The addon: an engine that it was not built for', () => {
  const folder = temporaryFolder();

  it.each([
    ['sampler', 'str_to_sample_method', 'er_sde'],
    ['scheduler', 'str_to_scheduler', 'kl_optimal'],
    ['upscaler', 'str_to_sd_hires_upscaler', 'Latent (bicubic)'],
  ])('should be refused with its name where a %s has another one', (kind, finds, name) => {
    const [source, library] = [join(folder, `${finds}.c`), join(folder, `${finds}.so`)];
    writeFileSync(
      source,
      `#include <dlfcn.h>
      #include <string.h>
      int ${finds}(const char *name) {
        void *engine = dlopen("libstable-diffusion.so", RTLD_LAZY | RTLD_NOLOAD);
        int (*real)(const char *) = (int (*)(const char *))dlsym(engine, "${finds}");
        return real(strcmp(name, "${name}") ? name : "renamed");
      }`,
    );
    spawnSync('cc', ['-shared', '-fPIC', source, '-o', library, '-ldl'], { stdio: 'inherit' });
    const { stderr } = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(ADDON)})`], {
      encoding: 'utf8',
      env: { ...process.env, LD_PRELOAD: library },
    });
    expect(stderr).toContain(`it has no ${kind} ${name}`);
    expect(stderr).toContain("code: 'abi_mismatch'");
  });
});
