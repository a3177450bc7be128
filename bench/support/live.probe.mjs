/** A thread of its own, so that its clock stands for the service alone: asks GET /health/live until told to end. */
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

const { url, interval } = /** @type {{ url: string, interval: number }} */ (workerData);
const agent = new Agent({ keepAlive: true });
let asking = true;
parentPort?.once('message', () => void (asking = false));

const ask = () =>
  new Promise((resolve, reject) => {
    get(`${url}/health/live`, { agent }, (response) => response.resume().on('end', resolve)).on(
      'error',
      reject,
    );
  });

await ask(); // opens the connection
/** @type {number[]} */
const latencies = [];
while (asking) {
  const asked = performance.now();
  await ask();
  latencies.push(performance.now() - asked);
  await sleep(interval);
}
parentPort?.postMessage(latencies);
agent.destroy();
