import { trace, type Attributes, type Context, type Span, type Tracer } from '@opentelemetry/api';
import { isFinished, type JobRecord, type Jobs } from '@app/jobs';
import { contextOf, fail } from './trace.context';

/** A picture that this process draws. */
interface Attempt {
  readonly span: Span;
  readonly context: Context;
  /** Times that an engine had died under the job before. */
  readonly crashes: number;
  phase?: { readonly name: string; readonly span: Span };
  /** When its pixels were out; milliseconds since 1970. */
  drawnAt?: number;
}

/**
 * Spans of jobs, in the trace of the request that each came with: "wait", then for each attempt "generate_content" with
 * the phases below it. Attributes follow OpenTelemetry's conventions for generative AI where there is one.
 */
export function traceJobs({ news }: Jobs, tracer: Tracer, model: () => string | undefined): void {
  const attempts = new Map<string, Attempt>();

  const between = (name: string, parent: Context, from: number, to: number, attributes?: Attributes) =>
    tracer.startSpan(name, { startTime: from, attributes }, parent).end(Math.max(from, to));

  const begin = (job: JobRecord, parent: Context) => {
    const name = model();
    const span = tracer.startSpan(
      name === undefined ? OPERATION : `${OPERATION} ${name}`,
      { attributes: { ...attributesOf(job), 'gen_ai.request.model': name } },
      parent,
    );
    const attempt: Attempt = { span, context: trace.setSpan(parent, span), crashes: job.crashes };
    attempts.set(job.id, attempt);
    // As in engine.process.ts: the first phase begins untold.
    const { referenceKey, imageKey } = job.picture;
    enter(attempt, (referenceKey ?? imageKey) === undefined ? 'text' : 'image');
  };

  const enter = (attempt: Attempt, name?: string) => {
    if (attempt.phase?.name === name) return;
    attempt.phase?.span.end();
    attempt.phase =
      name === undefined ? undefined : { name, span: tracer.startSpan(name, {}, attempt.context) };
  };

  const end = (id: string, outcome: string, failed: boolean, job?: JobRecord) => {
    const attempt = attempts.get(id);
    if (!attempt) return;
    attempts.delete(id);
    const { span, context, phase, drawnAt } = attempt;
    if (failed && phase) fail(phase.span, outcome);
    enter(attempt);
    const now = Date.now();
    const { faces_ms = 0, encode_ms = 0, store_ms = 0 } = job?.result?.timings ?? {};
    if (drawnAt !== undefined) {
      // Where faces are painted, they were looked for while it was drawn, too.
      const seenAt = Math.max(drawnAt, Math.min(now - encode_ms - store_ms, drawnAt + faces_ms));
      if (faces_ms > 0) between('faces', context, drawnAt, seenAt);
      between('encode', context, seenAt, seenAt + encode_ms);
      between('store', context, Math.min(now, seenAt + encode_ms), now);
    }
    span.setAttribute('image.outcome', outcome);
    if (failed) fail(span, outcome);
    span.end(now);
  };

  news.on('change', (job) => {
    if (!job.trace) return;
    const parent = contextOf(job.trace);
    const { id, state, attempts: times, createdAt, startedAt, finishedAt } = job;
    if (times === 1 && state === 'running') between('wait', parent, createdAt, startedAt!);
    if (times === 0 && isFinished(job))
      between('wait', parent, createdAt, finishedAt!, { 'image.outcome': state });
    if (state === 'running') begin(job, parent);
    else if (isFinished(job)) end(id, job.error?.code ?? state, state === 'failed', job);
    else {
      const crashed = job.crashes > (attempts.get(id)?.crashes ?? job.crashes);
      end(id, crashed ? 'engine_crashed' : 'given_back', crashed);
    }
  });
  news.on('phase', (id, phase) => {
    const attempt = attempts.get(id);
    if (attempt && attempt.drawnAt === undefined) enter(attempt, phase);
  });
  news.on('drawn', (id) => {
    const attempt = attempts.get(id);
    if (!attempt) return;
    enter(attempt);
    attempt.drawnAt = Date.now();
  });
  // Cancelled by another process, or taken over: whoever did it wrote the end.
  news.on('left', (id) => end(id, 'ended_elsewhere', false));
}

/** The conventions' own word for what makes pictures, among others. */
const OPERATION = 'generate_content';

/** Numbers and words of ours: a caller can make none of them long, and none says what was asked for. */
const attributesOf = ({ id, attempts, picture }: JobRecord): Attributes => ({
  'gen_ai.operation.name': OPERATION,
  'gen_ai.provider.name': 'stable-diffusion.cpp',
  'gen_ai.output.type': 'image',
  'gen_ai.request.choice.count': picture.count ?? 1,
  'gen_ai.request.seed': picture.seed,
  'image.job.id': id,
  'image.job.attempt': attempts,
  'image.route': picture.route,
  'image.width': picture.width,
  'image.height': picture.height,
  'image.steps': picture.steps,
  'image.loras': picture.loras.length,
});
