export { cachedFiles, checkFile, removeFile, type CachedFile } from './hub.cache.files';
export { HubFiles } from './hub.files';
export { HUB_FORM, parseHubAddress, parseHubReference, type HubReference } from './hub.reference';
export { hubHome, openHub } from './hub.settings';
export type { LoraAbout } from './lora.about';
export { type ControlNet } from './control.nets';
export { isUnchanged, type Embedding } from './embeddings';
export { LORA_NAME } from './family';
export { findLora, largestLora, listLoras, smallestLora } from './loras';
export { ModelCatalog } from './model.catalog';
export { ModelError } from './model.error';
export { wantedModel } from './model.name';
export { mirroredLoras, partsOf, planModel } from './model.plan';
export { replaceFile } from './replace.file';
export { TerminalProgress, percent, progressLine, type OnProgress } from './model.progress';
export { ModelsModule } from './models.module';
export type { ModelChoice } from './models.file';
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
export { findUpscaler, listUpscalers, unknownUpscaler, UPSCALER_NAME, type Upscaler } from './upscalers';
export { weightSizes, type WeightSizes } from './weight.sizes';
