export { ERRORS, type ErrorCode, type ErrorRule } from './errors';
export { ServiceError } from './service.error';
