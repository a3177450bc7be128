export { OutOfMemory } from './device.memory';
export { draw } from './drawing';
export { EngineCrashed } from './engine.errors';
export type { EngineCommand, EngineEvent, LoadCommand, MemoryPlan, MemoryWish } from './engine.protocol';
export { PipelineModule } from './pipeline.module';
export { PipelineService } from './pipeline.service';
export {
  type EngineLease,
  type EngineState,
  type EngineStatus,
  type EngineWish,
  type GenerateListeners,
  type GenerateRequest,
  type GeneratedPicture,
  type LoraRequest,
  type PipelineStatus,
  type Progress,
} from './pipeline.types';
