/** What probes and scrapers ask for, every few seconds; METRICS_PORT takes it with it. */
export const PROBES = /^\/(?:health|metrics)(?:\/|$)/i;
