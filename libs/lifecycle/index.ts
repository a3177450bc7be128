export { Drain, drainingError } from './drain';
export { Fifo } from './fifo';
