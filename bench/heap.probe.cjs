/**
 * Preloaded into the service by the soak (node --expose-gc --require): asked over IPC, it answers what is alive after
 * a full collection. The service itself has no code for this.
 */
process.on('message', (question) => {
  if (question !== 'memory') return;
  global.gc?.();
  // Finalizers of native objects run after the first collection and let go of more.
  setImmediate(() => {
    global.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    process.send?.({ heapUsed, external });
  });
});
// The channel alone must not keep a service alive that wants to end.
process.channel?.unref();
