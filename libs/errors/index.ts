export * from './service.error';
