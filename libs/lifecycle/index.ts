export { Drain } from './drain';
export { Fifo } from './fifo';
