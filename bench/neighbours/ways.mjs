/** What the hostile caller does; each once worked. */
export const WAYS = /** @type {const} */ ([
  'uploads that stop',
  'a full queue',
  'webhooks that hang',
  'references that hang',
  'names that hang',
  'large pictures',
  'avatars again and again',
  'lists of jobs',
  'replies not read',
  'all connections',
]);
