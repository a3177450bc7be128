import { Module } from '@nestjs/common';
import { ImagesModule } from '../images/images.module';
import { InferenceController } from './inference.controller';

/** What Hugging Face's InferenceClient asks an address for, as a request of our own. */
@Module({ imports: [ImagesModule], controllers: [InferenceController] })
export class HuggingFaceModule {}
