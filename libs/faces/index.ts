export { FaceFinder, type Face } from './face.finder';
export { FaceProcessOptions } from './face.process';
export type { Descriptor, FaceCommand, FaceEvent, FoundFace, Pixels } from './face.protocol';
export { FacesModule } from './faces.module';
export { comparesFaces, findsFaces, isInstalled } from './installed';
export { likeness } from './likeness';
