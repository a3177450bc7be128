export { demoFolder } from './demo';
export { findLora, listLoras, LORA_NAME, type Lora } from './loras';
export { ModelError } from './model.error';
export { loraFolder } from './model.plan';
export {
  type ModelProgress,
  type OnProgress,
  percent,
  progressLine,
  TerminalProgress,
} from './model.progress';
export { ModelsModule } from './models.module';
export { type ModelFiles, ModelsService } from './models.service';
export { packageRoot } from './package.root';
export { type WeightSizes, weightSizes } from './weight.sizes';
