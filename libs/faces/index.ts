export { FaceFinder, type Face } from './face.finder';
export { FaceProcessOptions } from './face.process';
export type { FaceCommand, FaceEvent, FoundFace, Pixels } from './face.protocol';
export { FacesModule } from './faces.module';
export { isInstalled } from './installed';
