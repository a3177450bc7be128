export { type ControlNet } from './control.nets';
export { isUnchanged, type Embedding } from './embeddings';
export { LORA_NAME, findLora, largestLora, listLoras } from './loras';
export { wantedModel } from './model.name';
export { TerminalProgress, percent, progressLine, type OnProgress } from './model.progress';
export { ModelsModule } from './models.module';
export { ModelsService, type ModelFiles } from './models.service';
export { packageRoot } from './package.root';
export {
  findSampler,
  findScheduler,
  SAMPLER_NAMES,
  SAMPLERS,
  SCHEDULER_NAMES,
  SCHEDULERS,
} from './sampler.names';
export { weightSizes, type WeightSizes } from './weight.sizes';
