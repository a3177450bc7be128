export { ERRORS, ServiceError, type ErrorCode, type ErrorRule } from './service.error';
