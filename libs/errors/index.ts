export { ERRORS, type ErrorCode, type ErrorRule } from './errors';
export { hearFailures, tellFailure, type Failure } from './failures';
export { ServiceError } from './service.error';
