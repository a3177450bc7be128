export { OutOfMemory } from './device.memory';
export { EngineCrashed } from './engine.errors';
export type { EngineLease } from './engine.lease';
export type {
  EngineCommand,
  EngineEvent,
  LoadCommand,
  MemoryPlan,
  MemoryWish,
  OpenCommand,
} from './engine.protocol';
export type { PipelineModel } from './pipeline.model';
export { PipelineModule } from './pipeline.module';
export { PipelineService } from './pipeline.service';
export {
  type EngineState,
  type EngineStatus,
  type EngineWish,
  type GenerateListeners,
  type GenerateRequest,
  type GeneratedPicture,
  type LoraRequest,
  type Phase,
  type PipelineStatus,
  type Progress,
} from './pipeline.types';
