import { Injectable, type OnApplicationShutdown, Optional } from '@nestjs/common';
import type { Request, RequestHandler, Response } from 'express';
import { collectDefaultMetrics, Counter, Gauge, Histogram } from 'prom-client';
import { HttpAdapterHost } from '@nestjs/core';
import { Jobs } from '@app/jobs';
import { PipelineService } from '@app/pipeline';
import { DiskSpace } from '@app/storage';
import { aboutService } from '../docs/service.version';
import { Refusals } from '../http/refusals';
import { templateAt } from '../errors/routes';
import { gaugeCards } from './card.metrics';
import { Exposition } from './exposition';
import { countFailures } from './failure.metrics';
import { countJobs } from './job.metrics';
import { gaugeQueue } from './queue.metrics';

/** Seconds: from a refusal to a picture on a slow machine. */
const BUCKETS = [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600];

/** What Prometheus reads: the process (prom-client's own), its requests, the jobs and the engines. */
@Injectable()
export class Metrics implements OnApplicationShutdown {
  readonly exposition = new Exposition();
  private readonly requests: Histogram<'method' | 'route' | 'status'>;
  private readonly streams: Gauge;
  private readonly streamTimes: Histogram;
  /** Progress and previews that a reader of events was too slow for. */
  readonly eventsDropped: Counter;
  /** By what came of them. */
  readonly referenceFetches: Counter<'outcome'>;
  private readonly endFailures: () => void;

  /** A process with ROLE=api has no engines. */
  constructor(
    jobs: Jobs,
    disk: DiskSpace,
    refusals: Refusals,
    private readonly adapter: HttpAdapterHost,
    @Optional() pipeline?: PipelineService,
  ) {
    const { registry } = this.exposition;
    const registers = [registry];
    collectDefaultMetrics({ register: registry });
    registry.registerMetric(refusals.counter);
    this.requests = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Requests by route, from their headers to the end of the reply. Status "aborted": the client left before it. Without event streams',
      labelNames: ['method', 'route', 'status'],
      buckets: BUCKETS,
      registers,
    });
    this.streams = new Gauge({
      name: 'image_event_streams',
      help: 'Event streams of jobs that are open',
      registers,
    });
    this.streamTimes = new Histogram({
      name: 'image_event_stream_duration_seconds',
      help: 'Event streams of jobs that have ended, by how long they were open; they are no requests of the other histogram',
      buckets: BUCKETS,
      registers,
    });
    this.eventsDropped = new Counter({
      name: 'image_events_dropped_total',
      help: 'Progress and previews that were not sent to readers of event streams who were too slow',
      registers,
    });
    new Gauge({
      name: 'image_service_info',
      help: '1 for the version of the service',
      labelNames: ['version'],
      registers,
    }).set({ version: aboutService().version }, 1);
    this.referenceFetches = new Counter({
      name: 'image_reference_fetches_total',
      help: 'Pictures that callers gave by an address: "fetched", or why not. "left": the caller did not wait',
      labelNames: ['outcome'],
      registers,
    });
    countJobs(jobs, registry);
    gaugeQueue(jobs, registry);
    this.endFailures = countFailures(registry);
    new Gauge({
      name: 'image_jobs',
      help: 'Jobs by state, of all processes that share the records; absent while those cannot be read',
      labelNames: ['state'],
      registers,
      async collect() {
        this.reset();
        const { queued, running } = await jobs
          .count()
          .catch(() => ({ queued: undefined, running: undefined }));
        if (queued !== undefined) this.set({ state: 'queued' }, queued);
        if (running !== undefined) this.set({ state: 'running' }, running);
      },
    });
    new Gauge({
      name: 'image_disk_free_bytes',
      help: 'Free disk for DATA_DIR; absent where neither records nor images are kept there',
      registers,
      async collect() {
        this.reset();
        const free = await disk.free().catch(() => undefined);
        if (free === undefined) this.remove();
        else this.set(free);
      },
    });
    if (!pipeline) return;
    gaugeCards(registry);
    new Gauge({
      name: 'image_engine_state',
      help: '1 for the state that an engine of this process is in, as in /health/ready',
      labelNames: ['engine', 'state'],
      registers,
      collect() {
        this.reset();
        for (const { id, state } of pipeline.status().engines) this.set({ engine: id, state }, 1);
      },
    });
    new Gauge({
      name: 'image_engine_info',
      help: '1 for what an engine of this process is, once known: where it comes from, its commit of stable-diffusion.cpp, its device, the model that it has or loads',
      labelNames: ['engine', 'source', 'commit', 'device', 'model'],
      registers,
      collect() {
        this.reset();
        const { engines, model } = pipeline.status();
        for (const { id, facts, device } of engines) {
          if (!facts) continue;
          const { source, commit } = facts.version;
          this.set({ engine: id, source, commit, device: device?.name ?? 'none', model }, 1);
        }
      },
    });
    new Counter({
      name: 'image_model_switches_total',
      help: 'How often the engines of this process loaded another model of MODELS_FILE',
      registers,
      collect() {
        this.reset();
        this.inc(pipeline.switches);
      },
    });
    new Counter({
      name: 'image_engine_exits_total',
      help: 'Engine processes that ended: "died", "out_of_memory" (of one image), "failed" (did not come up)',
      labelNames: ['engine', 'cause'],
      registers,
      collect() {
        this.reset();
        for (const { id, exits } of pipeline.status().engines) {
          for (const [cause, times] of Object.entries(exits ?? {})) this.inc({ engine: id, cause }, times);
        }
      },
    });
  }

  onApplicationShutdown(): void {
    this.endFailures();
  }

  /** A middleware that counts requests. */
  readonly observe: RequestHandler = (request, response, next) => {
    const end = this.requests.startTimer();
    response.once('close', () => {
      if (!isStream(response)) end(this.labels(request, response));
    });
    next();
  };

  /** Of a stream that was opened, until it ends. */
  observeStream(response: Response): void {
    const end = this.streamTimes.startTimer();
    this.streams.inc();
    response.once('close', () => {
      this.streams.dec();
      end();
    });
  }

  /** The route as the router has it, never the path: that is endless, and names users. What is refused never gets there. */
  private labels(request: Request, response: Response) {
    const { path } = (request.route ?? {}) as { path?: string };
    return {
      method: request.method,
      route: path ?? templateAt(this.adapter, request.path) ?? 'none',
      status: response.writableFinished ? String(response.statusCode) : 'aborted',
    };
  }
}

const isStream = (response: Response) =>
  response.getHeader('content-type')?.toString().startsWith('text/event-stream');
