/** A thread with a machine at the other end of a cable: serves echoes, then says what is left. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ShmemCable } from '#host/node/shmem_link.ts';
import { echoServer, RealMachine } from './real_machine.ts';

const { cable, connections } = workerData as { cable: ShmemCable; connections: number };
const server = new RealMachine('server');
server.plug(cable, 1, 'shm0');
await server.sh('ip link set lo up', 'ip addr add 10.9.0.2/24 dev shm0', 'ip link set shm0 up');
const done = server.run(echoServer(connections), ['echo']);
parentPort?.postMessage('ready');
await done;
// A halted machine sends nothing any more, so the other side says when it has got everything.
parentPort?.once('message', () => parentPort?.postMessage(server.end()));
