import { Module } from '@nestjs/common';
import { EmbeddingsController } from './embeddings.controller';

/** GET /v1/embeddings. */
@Module({ controllers: [EmbeddingsController] })
export class EmbeddingsModule {}
