import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';
import { Refusal } from '../refusal.ts';
import { type BoundChild, deathSignalCommand, spawnBound } from './bound-child.ts';

/**
 * Temporal's own dev server on a file database, loopback alone, for `dev`, the demo and the tests. What it has
 * acknowledged survives `kill -9`. It asks nobody who they are: Temporal is no authority here, production brings
 * its own server with mTLS or keys.
 */
type TemporalServer = {
  pid: number;
  /** `host:port` of the gRPC front end. */
  address: string;
  /** Settles when the server has ended, also by itself, and says how. */
  exited: Promise<string>;
  /** Safe to call twice. */
  stop(): Promise<void>;
};

type TemporalOptions = { cli: string; databaseFile: string; port: number; log: (line: string) => void };

const NAMESPACE = 'default';

const HOST = '127.0.0.1';
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const CALL_TIMEOUT_MS = 2_000;
const POLL_MS = 50;

/**
 * The server is sized for fleets. By default steps that follow each other wait for 50 ms slots, and a small
 * installation's tasks get lost between four partitions of each queue: 4.5 times the latency when measured.
 */
const TUNING = [
  'history.transferProcessorMaxPollRPS=2000',
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
];

export async function startTemporalServer(options: TemporalOptions): Promise<TemporalServer> {
  const { cli, databaseFile, port, log } = options;
  await mkdir(dirname(databaseFile), { recursive: true, mode: 0o700 });
  // Whoever listens there would answer our probe in the server's place.
  if (await isListening(port)) {
    throw new Refusal(
      'SETUP_FAILED',
      `port ${port} on ${HOST}, meant for Temporal, is in use: end that program or choose another`,
    );
  }
  const deathSignal = await deathSignalCommand('TERM');
  const child = await spawnBound({
    name: 'temporal',
    command: [...deathSignal, cli, ...flags(databaseFile, port)],
    log,
  });
  const stop = async () => await child.stop('SIGTERM', STOP_TIMEOUT_MS);
  try {
    await untilUsable(child, port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid, address: addressOf(port), exited: child.exited, stop };
}

function flags(databaseFile: string, port: number): string[] {
  const listen = ['--headless', '--ip', HOST, '--port', `${port}`];
  const tuning = TUNING.flatMap((value) => ['--dynamic-config-value', value]);
  return ['server', 'start-dev', ...listen, '--db-filename', databaseFile, '--log-level', 'error', ...tuning];
}

async function isListening(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: HOST, port });
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  const listening = await promise;
  socket.destroy();
  return listening;
}

async function untilUsable(child: BoundChild, port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  // A gRPC channel that was refused once waits a second before it tries again: knock by TCP first.
  const listening = await poll(child, deadline, async () => await isListening(port));
  if (listening && (await answers(child, port, deadline))) return;
  const words = child.lastWords().findLast((line) => line.trim() !== '') ?? 'it said nothing';
  throw new Refusal('SETUP_FAILED', `Temporal did not start: ${words.trim()}`);
}

async function answers(child: BoundChild, port: number, deadline: number): Promise<boolean> {
  const connection = Connection.lazy({ address: addressOf(port), connectTimeout: CALL_TIMEOUT_MS });
  const client = new Client({ connection, namespace: NAMESPACE });
  try {
    return await poll(child, deadline, async () => await isUsable(client));
  } finally {
    await connection.close();
  }
}

/** @returns false when the server has ended or the time is over. */
async function poll(child: BoundChild, deadline: number, holds: () => Promise<boolean>): Promise<boolean> {
  while (child.isRunning() && Date.now() < deadline) {
    if (await holds()) return true;
    await delay(POLL_MS);
  }
  return false;
}

function addressOf(port: number): string {
  return `${HOST}:${port}`;
}

/** Only a namespace that is loaded by a history service that owns its shard can say that a workflow is not there. */
async function isUsable(client: Client): Promise<boolean> {
  try {
    const deadline = Date.now() + CALL_TIMEOUT_MS;
    await client.withDeadline(
      deadline,
      async () => await client.workflow.getHandle('firebreak/probe').describe(),
    );
    return true;
  } catch (error) {
    return error instanceof WorkflowNotFoundError;
  }
}
