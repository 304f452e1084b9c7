import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection, Client as TemporalClient } from '@temporalio/client';
import { Client } from 'pg';
import { type AgentClient, createAgentClient } from '../src/cli/agent-client.ts';
import { openSession, readJsonFile, workloadKeySchema } from '../src/cli/open-session.ts';
import { type DatabasePool, openDatabase } from '../src/database/pool.ts';
import { defaultSettings } from '../src/dev/default-settings.ts';
import { createSlackPerson, type SlackPerson } from '../src/dev/slack-person.ts';
import { type RunningDev, startDev } from '../src/dev/supervisor.ts';
import { connectTemporal, type TemporalClient as OwnTemporal } from '../src/temporal/client.ts';
import { byName, type ProcessUse, processUses } from './processes.ts';

/** One Firebreak as `dev` runs it, and its peer on the same Temporal server and the same target. */
export type World = {
  dev: RunningDev;
  data: string;
  agent: AgentClient;
  slack: SlackPerson;
  /** Reads results of Firebreak's workflows. */
  temporal: OwnTemporal;
  /** The peer's client: no codec, no context. */
  bare: TemporalClient;
  /** The superuser of Firebreak's database, for times of rows. */
  own: DatabasePool;
  shop: Client;
  /** Rows of the target that nobody has asked for yet. */
  nextRow(): number;
  processes(): Map<string, ProcessUse[]>;
  /** Ends everything; the data stays. */
  stop(): Promise<void>;
  remove(): Promise<void>;
};

export const TABLE = 'newsletter_subscriptions';
const FIRST_ROW = 500;
const DOMAINS = 9;
const BARE_LOGIN = 'bench_bare';
/** For a login that exists in a throwaway database behind a unix socket of mode 0700. */
const BARE_PASSWORD = 'bench';

export async function startWorld(say: (line: string) => void): Promise<World> {
  const data = await mkdtemp(join(tmpdir(), 'firebreak-bench-'));
  await writeFile(join(data, 'firebreak.toml'), settingsText(data));
  const dev = await startDev({ data, port: 0, logLevel: 'warn', say });
  const shop = await connect(dev.urls.shopSuperuser);
  await shop.query(`create role ${BARE_LOGIN} login password '${BARE_PASSWORD}';
    grant select, delete on public.${TABLE} to ${BARE_LOGIN}`);
  const { temporal: address } = dev.ready().addresses;
  const worker = await startBareWorker(address, bareUrl(dev.urls.shopSuperuser));
  const bareConnection = await Connection.connect({ address });
  const temporal = await connectOwn(dev, address);
  const own = openDatabase(dev.urls.superuser('firebreak'), () => undefined);
  let row = FIRST_ROW;
  return {
    dev,
    data,
    agent: await openAgent(dev),
    slack: createSlackPerson(dev.slack()),
    temporal,
    bare: new TemporalClient({ connection: bareConnection }),
    own,
    shop,
    nextRow: () => row++,
    processes: () => byName(processUses(), namesOf(dev, worker.pid)),
    async stop() {
      await worker.stop();
      await Promise.all([shop.end(), own.close(), bareConnection.close(), temporal.close()]);
      await dev.stop();
    },
    remove: async () => await rm(data, { recursive: true, force: true }),
  };
}

/** As `dev` writes them, with the largest budget of relayed votes. */
function settingsText(directory: string): string {
  const ports = Array.from({ length: DOMAINS }, (_, at) => 21_000 + at);
  return defaultSettings({ directory, port: 20_999, ports }).replace(
    /^relayedPerHour = .*$/m,
    'relayedPerHour = 1000',
  );
}

async function openAgent(dev: RunningDev): Promise<AgentClient> {
  const { origin, workloadKey = '' } = dev.ready();
  const held = await openSession({ origin, workload: await readJsonFile(workloadKey, workloadKeySchema) });
  return createAgentClient({ origin, ...held });
}

async function connectOwn(dev: RunningDev, address: string): Promise<OwnTemporal> {
  const codecKeyFile = join(dev.data.keys('gateway'), 'codec.key');
  return await connectTemporal({ variables: { TEMPORAL_ADDRESS: address }, codecKeyFile });
}

function bareUrl(adminUrl: string): string {
  return adminUrl.replace(/\/\/[^@]*@/, `//${BARE_LOGIN}:${BARE_PASSWORD}@`);
}

async function startBareWorker(address: string, url: string) {
  const child = fork(fileURLToPath(new URL('bare-worker.ts', import.meta.url)), {
    env: { PATH: process.env['PATH'], TEMPORAL_ADDRESS: address, BARE_DATABASE_URL: url },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error('the bare worker ended before it was ready');
    }),
  ]);
  return {
    pid: child.pid ?? 0,
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function namesOf(dev: RunningDev, barePid: number): Map<number, string> {
  const named = Object.entries(dev.ready().pids).map(([name, pid]): [number, string] => [pid, name]);
  return new Map([...named, [barePid, 'bare worker']]);
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
