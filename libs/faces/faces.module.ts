import { Module } from '@nestjs/common';
import { FaceFinder } from './face.finder';
import { FaceProcessOptions } from './face.process';

@Module({ providers: [FaceFinder, FaceProcessOptions], exports: [FaceFinder] })
export class FacesModule {}
