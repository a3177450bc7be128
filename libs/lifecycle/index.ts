export { Drain } from './drain';
export { WaitingLine } from './fifo';
