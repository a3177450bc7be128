import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CudaCards } from './cuda.cards';
import { temporaryFolder } from './demo';
import { buildCudaStandin, EngineTree } from './engine.tree';
import type { Server } from './requires';
import { Service } from './service';

/** The pinned CUDA engine over cuda-standin/, for one suite: the whole service as on a machine with NVIDIA's cards. */
export class CudaMachine implements Server {
  readonly name = 'the CUDA engine or a C compiler';
  readonly install = 'a network or ENGINE_WHEELS brings the one (97 MB), `apt-get install gcc` the other';
  private readonly folder = temporaryFolder();
  private readonly tree = new EngineTree(join(this.folder, 'tree'), 'cuda12', true);
  private services = 0;
  private running: Service[] = [];

  constructor() {
    afterEach(() => this.stop());
  }

  /** Fetches the engine, once for this checkout. */
  available(): boolean {
    try {
      if (spawnSync('cc', ['--version']).status !== 0) return false;
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
    buildCudaStandin(this.tree.libraries);
  }

  /** For LD_PRELOAD: the engine leaves the VAE's weights in the processor's memory. */
  vaeInRam(): string {
    const [library, root] = [join(this.folder, 'vae.in.ram.so'), join(__dirname, '../..')];
    const source = join(__dirname, 'cuda-standin/vae.in.ram.cc');
    const how = ['-std=c++17', '-fPIC', '-shared', '-I', join(root, 'native/engine'), source, '-o', library];
    const { status, stderr } = spawnSync('c++', how, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    return library;
  }

  /** Where the stand-in's libraries lie: what is taken away there is not on the machine. */
  get libraries(): string {
    return this.tree.libraries;
  }

  /** As the addon alone lists them. */
  get devices(): string[] {
    return this.tree.devices();
  }

  /** Resolves when the service listens, and stops it after the test. `cards` as in CUDA_STANDIN_CARDS. */
  async start(variables: Record<string, string> = {}, cards = 'Stand-in H100:81559:9.0') {
    const folder = join(this.folder, `service-${++this.services}`);
    mkdirSync(folder);
    const books = new CudaCards(`${folder}.cards`);
    const kernels = { CUDA_CACHE_PATH: `${folder}.kernels` };
    const machine = { ...kernels, CUDA_STANDIN_CARDS: cards, CUDA_STANDIN_STATE: books.file };
    const all = { DATA_DIR: folder, TEXT_ENCODER_TYPE: 'native', ...machine, ...variables };
    const service = await Service.start(all, this.tree.folder);
    this.running.push(service);
    return { service, books };
  }

  async stop(): Promise<void> {
    await Promise.all(this.running.splice(0).map((service) => service.stop('SIGKILL')));
  }
}
