export { Drain, drainingError } from './drain';
export { Fifo } from './fifo';
export { Turns } from './turns';
