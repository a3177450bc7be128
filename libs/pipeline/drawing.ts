import { Logger } from '@nestjs/common';
import { OutOfMemory } from './device.memory';
import type { PipelineService } from './pipeline.service';
import type { EngineLease, GeneratedPicture, GenerateListeners, GenerateRequest } from './pipeline.types';

const logger = new Logger('Pipeline');

/**
 * Draws a picture with `lease`, and where that lacks the memory once more: in tiles with whichever engine comes next, for
 * this one may be dead; or whole with one that should have the memory. Rejects as EngineLease.generate does.
 */
export async function draw(
  pipeline: PipelineService,
  lease: EngineLease,
  request: GenerateRequest,
  listeners: GenerateListeners = {},
): Promise<GeneratedPicture> {
  const size = `${request.width}x${request.height}`;
  const { signal } = listeners;
  const full = new Set<number>();
  let inTiles = false;
  for (;;) {
    try {
      return await lease.generate(request, listeners, inTiles);
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      if (error.tilesMayFit) {
        inTiles = true;
        logger.warn(
          `No memory to decode ${size} at once: drawn again, in tiles. VAE_TILING=always skips the first attempt`,
        );
      } else {
        full.add(lease.id);
        if (!pipeline.drawsElsewhere(request, full)) throw error;
        logger.warn(`Engine ${lease.id} had no memory for ${size}: drawn again, by another`);
      }
      lease = await pipeline.acquire({ size: request, avoid: full, signal });
      if (!full.has(lease.id)) continue;
      lease.release();
      throw error;
    }
  }
}
