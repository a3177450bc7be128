import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { until } from '../../../../test/support/eventually';
import { gaugeCards } from './card.metrics';
import { NvidiaSmi } from './nvidia.smi';

const TWO = `0, GPU-a, 1024, 81559, 37, 45
1, GPU-b, 512, 81559, [N/A], 88`;

describe(gaugeCards.name, () => {
  let folder: string;
  let calls: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'smi-'));
    calls = join(folder, 'calls');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A tool of that name that does so. */
  const tool = (script: string) => {
    const file = join(folder, 'nvidia-smi');
    writeFileSync(file, `#!/bin/sh\necho "$$ $*" >> ${calls}\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const scraper = (smi: NvidiaSmi) => {
    const registry = new Registry();
    gaugeCards(registry, smi);
    return async () =>
      (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };
  const ran = () => readFileSync(calls, 'utf8').trim().split('\n');

  it('should tell of each card what it tells, and of none what it does not', async () => {
    const scrape = scraper(new NvidiaSmi(tool(`cat <<'E'\n${TWO}\nE`)));
    expect(await scrape()).toEqual([
      `image_gpu_memory_used_bytes{gpu="0",uuid="GPU-a"} ${2 ** 30}`,
      `image_gpu_memory_used_bytes{gpu="1",uuid="GPU-b"} ${2 ** 29}`,
      `image_gpu_memory_size_bytes{gpu="0",uuid="GPU-a"} ${81559 * 2 ** 20}`,
      `image_gpu_memory_size_bytes{gpu="1",uuid="GPU-b"} ${81559 * 2 ** 20}`,
      'image_gpu_utilization_ratio{gpu="0",uuid="GPU-a"} 0.37',
      'image_gpu_temperature_celsius{gpu="0",uuid="GPU-a"} 45',
      'image_gpu_temperature_celsius{gpu="1",uuid="GPU-b"} 88',
    ]);
    expect(ran()).toHaveLength(1);
    // A card that vanished is not told of any more.
    tool(`echo '0, GPU-a, 1, 2, 3, 4'`);
    expect((await scrape()).join()).not.toContain('GPU-b');
  });

  it('should tell nothing where it fails in words, and ask again', async () => {
    const scrape = scraper(new NvidiaSmi(tool('echo "NVIDIA-SMI has failed, because"; exit 9')));
    expect(await scrape()).toEqual([]);
    tool(`echo '0, GPU-a, 1, 2, 3, 4'`);
    expect(await scrape()).toHaveLength(4);
  });

  it('should not look again for a tool that is not there', async () => {
    const missing = join(folder, 'nvidia-smi');
    const scrape = scraper(new NvidiaSmi(missing));
    expect(await scrape()).toEqual([]);
    tool(`echo '0, GPU-a, 1, 2, 3, 4'`);
    expect(await scrape()).toEqual([]);
    expect(existsSync(calls)).toBe(false);
  });

  it('should wait for one that hangs no longer than it may, and start no second meanwhile', async () => {
    const go = join(folder, 'go');
    const file = tool(`while ! [ -e ${go} ]; do sleep 0.02; done; echo '0, GPU-a, 1, 2, 3, 4'`);
    const scrape = scraper(new NvidiaSmi(file, 10));
    for (let i = 0; i < 3; i++) expect(await scrape()).toEqual([]);
    await until(() => existsSync(calls));
    expect(ran()).toHaveLength(1);
    writeFileSync(go, '');
    await until(async () => (await scrape()).length === 4);
  });
});
