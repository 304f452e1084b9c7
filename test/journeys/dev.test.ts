import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openSession, workloadKeySchema } from '../../src/cli/open-session.ts';
import { identityOf } from '../../src/dev/process-identity.ts';
import { type RunningDev, startDev } from '../../src/dev/supervisor.ts';
import { domains } from '../../src/domains.ts';

const launcher = fileURLToPath(new URL('../../bin/firebreak.mjs', import.meta.url));
const parts = ['postgres', 'shop', 'temporal', ...domains];

let data: string;
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'firebreak-'));
});
afterAll(async () => await rm(data, { recursive: true, force: true }));

const readySchema = z.looseObject({
  origin: z.string(),
  workloadKey: z.string(),
  pids: z.record(z.string(), z.int()),
});
type Ready = z.infer<typeof readySchema>;

async function until(holds: () => Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await holds()) return;
    await delay(50);
  }
  expect(await holds()).toBe(true);
}

async function readiness(origin: string) {
  const response = await fetch(`${origin}/readyz`);
  return { status: response.status, body: await response.json() };
}

async function livingOf(pids: Record<string, number>): Promise<string[]> {
  const found = await Promise.all(
    Object.entries(pids).map(async ([name, pid]) => ((await identityOf(pid)) === undefined ? [] : [name])),
  );
  return found.flat();
}

async function sessionOf({ origin, workloadKey }: Ready) {
  const workload = workloadKeySchema.parse(JSON.parse(await readFile(workloadKey, 'utf8')));
  return await openSession({ origin, workload });
}

async function answers(url: string): Promise<boolean> {
  return await fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function upOf(domain: string, env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [launcher, 'up', domain], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = Promise.all([text(child.stderr), once(child, 'exit')]).then(([stderr]) => ({
    code: child.exitCode,
    stderr,
  }));
  return { child, ended };
}

const isThere = async (file: string) =>
  await access(file).then(
    () => true,
    () => false,
  );

describe('in this process', () => {
  let dev: RunningDev;
  beforeAll(async () => {
    dev = await startDev({ data, port: 0, readyFile: join(data, 'copy.json') });
  });
  afterAll(async () => await dev.stop());

  test('everything is ready once it says so, and every part is a process of its own', async () => {
    const ready = readySchema.parse(dev.ready());
    expect(await readiness(ready.origin)).toEqual({
      status: 200,
      body: { status: 'ready', missing: [], mode: 'development' },
    });
    const { supervisor, ...children } = ready.pids;
    expect(supervisor).toBe(process.pid);
    expect(Object.keys(children).toSorted()).toEqual(parts.toSorted());
    expect(new Set(Object.values(children)).size).toBe(parts.length);
    for (const file of [join(data, 'ready.json'), join(data, 'copy.json')]) {
      expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(dev.ready());
    }
    expect((await fetch(dev.ready().slack)).status).toBe(200);
    expect((await fetch(`${dev.ready().ledger}/checkpoint`)).status).toBe(200);
  });

  test('the development workload opens a session', async () => {
    const held = await sessionOf(readySchema.parse(dev.ready()));
    expect(held.session.sessionId).toMatch(/^ses_/);
  });

  test('a second start on the same data is refused, and the first one goes on', async () => {
    await expect(startDev({ data, port: 0 })).rejects.toMatchObject({ code: 'DATA_IN_USE' });
    expect((await readiness(dev.ready().origin)).status).toBe(200);
  });

  test('no domain is told another one’s login or key', async () => {
    const told = new Map(domains.map((domain) => [domain, JSON.stringify(dev.environmentOf(domain))]));
    const holders = (secret: string) => domains.filter((domain) => told.get(domain)?.includes(secret));
    for (const domain of domains) {
      expect(holders(`FIREBREAK_DATABASE_URL_${domain.toUpperCase()}"`)).toEqual([domain]);
      expect(holders(`${join(data, 'keys', domain)}"`)).toEqual([domain]);
    }
    expect(holders('"FIREBREAK_CREDENTIALS_DATABASE_URL"')).toEqual(['credentials']);
    expect(holders('xoxb-')).toEqual(['people']);
    expect(holders('TARGET_URL')).toEqual(['planner', 'executor']);
    expect(dev.environmentOf('planner')['FIREBREAK_TARGET_URL_SHOP']).not.toBe(
      dev.environmentOf('executor')['FIREBREAK_TARGET_URL_SHOP'],
    );
    expect(holders(dev.urls.superuser('firebreak'))).toEqual([]);
    expect(holders(dev.urls.shopSuperuser)).toEqual([]);
  });

  test.each(['gate', 'postgres', 'temporal'] as const)('%s that dies comes back by itself', async (name) => {
    const before = dev.ready().pids[name] ?? 0;
    process.kill(before, 'SIGKILL');
    await until(async () => (dev.ready().pids[name] ?? before) !== before);
    await until(async () => (await readiness(dev.ready().origin)).status === 200);
    const ready = readySchema.parse(JSON.parse(await readFile(join(data, 'ready.json'), 'utf8')));
    expect(ready.pids[name]).toBe(dev.ready().pids[name]);
  });

  test('what is killed on purpose is missing until it is restarted', async () => {
    await dev.kill('ledger', 'SIGKILL');
    expect((await readiness(dev.ready().origin)).body).toMatchObject({ missing: ['ledger'] });
    await dev.restart('ledger');
    expect((await readiness(dev.ready().origin)).status).toBe(200);
  });

  test('`up` runs one domain by its environment alone, and refuses to start without it', async () => {
    await dev.kill('ledger', 'SIGKILL');
    const bare = await upOf('ledger', { PATH: process.env['PATH'] });
    expect(await bare.ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^CONFIG_INVALID: .*FIREBREAK_/m),
    });
    const whole = await upOf('ledger', dev.environmentOf('ledger'));
    await until(async () => await answers(`${dev.settings.addresses.ledger}/healthz`));
    whole.child.kill('SIGTERM');
    expect(await whole.ended).toMatchObject({ code: 0 });
    await dev.restart('ledger');
  });

  test('stop leaves no process and no ready file, and the data start again', async () => {
    const { supervisor: _self, ...children } = dev.ready().pids;
    await dev.stop();
    await dev.stop();
    expect(await livingOf(children)).toEqual([]);
    expect(await isThere(join(data, 'ready.json'))).toBe(false);
    dev = await startDev({ data, port: 0 });
    expect((await readiness(dev.ready().origin)).status).toBe(200);
  });
});

describe('from the command line', () => {
  let child: ChildProcess | undefined;
  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  async function start(): Promise<Ready> {
    child = spawn(process.execPath, [launcher, 'dev', '--data', data, '--port', '0'], { stdio: 'ignore' });
    const file = join(data, 'ready.json');
    // The file of a run that was killed is removed first: only one that names this child counts.
    const mine = async () => {
      if (!(await isThere(file))) return false;
      return readySchema.parse(JSON.parse(await readFile(file, 'utf8'))).pids['supervisor'] === child?.pid;
    };
    await until(mine, 60_000);
    return readySchema.parse(JSON.parse(await readFile(file, 'utf8')));
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    if (child === undefined) throw new TypeError('expected a child');
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode;
  }

  test('kill -9 of the supervisor ends its parts, loses nothing, and the next start works', async () => {
    const first = await start();
    const held = await sessionOf(first);
    await end('SIGKILL');
    const { supervisor: _gone, ...children } = first.pids;
    await until(async () => (await livingOf(children)).length === 0, 30_000);
    const second = await start();
    expect((await readiness(second.origin)).status).toBe(200);
    expect(await sessionsOf(held.session.sessionId)).toBe(1);
    expect(await end('SIGINT')).toBe(0);
    expect(await livingOf(second.pids)).toEqual([]);
  });

  test('kill -9 of everything at once is survived too', async () => {
    const { pids } = await start();
    for (const pid of Object.values(pids)) process.kill(pid, 'SIGKILL');
    await until(async () => (await livingOf(pids)).length === 0);
    const { origin } = await start();
    expect((await readiness(origin)).status).toBe(200);
    expect(await end('SIGTERM')).toBe(0);
  });

  /** Asked while it runs: sessions are rows of the database, which the kill interrupted. */
  async function sessionsOf(id: string): Promise<number> {
    const secrets = z
      .looseObject({ superuser: z.string() })
      .parse(JSON.parse(await readFile(join(data, 'secrets.json'), 'utf8')));
    const host = (await readFile(join(data, 'firebreak', 'postmaster.pid'), 'utf8')).split('\n')[4] ?? '';
    const client = new Client({
      host,
      port: 5432,
      user: 'postgres',
      password: secrets.superuser,
      database: 'firebreak',
    });
    await client.connect();
    try {
      const found = await client.query('select from firebreak.session where id = $1', [id]);
      return found.rowCount ?? 0;
    } finally {
      await client.end();
    }
  }
});
