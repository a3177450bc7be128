'use strict';

/** A reason to stop that is reported in one sentence, without a stack. */
class Stop extends Error {}

module.exports = { Stop };
