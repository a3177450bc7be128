/** The built service over another engine than the repository's own. */
export class EngineTree {
  constructor(folder: string, variant: 'cpu' | 'cuda12' | 'vulkan', alone?: boolean);
  readonly folder: string;
  readonly libraries: string;
  fetch(): void;
  build(): void;
  devices(variables?: Record<string, string>): string[];
  moveTo(folder: string): void;
}
export function buildCudaStandin(folder: string, name?: string): void;
