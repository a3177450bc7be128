import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './demo';
import { EngineTree } from './engine.tree';
import type { Server } from './requires';
import { Service } from './service';

/** Mesa's device in software; ggml leaves such out unless they are named. */
const SOFTWARE = { GGML_VK_VISIBLE_DEVICES: '0' };

/** The pinned Vulkan engine on Mesa's software device, for one suite: a real GPU back end on a machine without a GPU. */
export class VulkanMachine implements Server {
  readonly name = "The Vulkan engine on Mesa's software device";
  readonly install =
    'apt-get install mesa-vulkan-drivers libvulkan1 vulkan-tools, and a network for 36 MB or ENGINE_WHEELS';
  private readonly folder = temporaryFolder();
  private readonly tree = new EngineTree(join(this.folder, 'tree'), 'vulkan');
  private services = 0;
  private running: Service[] = [];

  constructor() {
    afterEach(() => this.stop());
  }

  /** Fetches the engine, once for this checkout. */
  available(): boolean {
    try {
      const { stdout } = spawnSync('vulkaninfo', ['--summary'], { encoding: 'utf8' });
      if (!stdout?.includes('llvmpipe')) return false;
      this.tree.fetch();
      return true;
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      return false;
    }
  }

  /** To be called in beforeAll. */
  build(): void {
    this.tree.build();
  }

  /** Resolves when the service listens; it is stopped after the test. */
  async start(variables: Record<string, string> = {}): Promise<Service> {
    const folder = join(this.folder, `service-${++this.services}`);
    mkdirSync(folder);
    const service = await Service.start({ DATA_DIR: folder, ...SOFTWARE, ...variables }, this.tree.folder);
    this.running.push(service);
    return service;
  }

  async stop(): Promise<void> {
    await Promise.all(this.running.splice(0).map((service) => service.stop('SIGKILL')));
  }
}
