import { execFile } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type AgentsDoor, startAgentsDoor } from '../../test/fixtures/agents-door.ts';
import { canonicalDigest } from '../canonical.ts';

let door: AgentsDoor;
let directory: string;
beforeAll(async () => {
  door = await startAgentsDoor();
  directory = door.database.directory;
  const workloadKey = join(directory, 'workload.json');
  await writeFile(workloadKey, JSON.stringify(door.workload('cleaner')));
  await writeFile(
    join(directory, 'ready.json'),
    JSON.stringify({ origin: door.origin, workloadKey, pids: {} }),
  );
  await writeFile(join(directory, 'input.json'), '{"database":"shop","table":"orders","ids":[1]}');
});
afterAll(async () => await door.stop());

const launcher = fileURLToPath(new URL('../../bin/firebreak.mjs', import.meta.url));

async function firebreak(...args: string[]) {
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [launcher, ...args], { cwd: directory }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

const json = (text: string) => z.record(z.string(), z.unknown()).parse(JSON.parse(text));

async function submitted(...args: string[]): Promise<string> {
  const { stdout } = await firebreak(
    'submit',
    'test.things.delete',
    '--input',
    'input.json',
    '--json',
    ...args,
  );
  return String(json(stdout)['requestId']);
}

const setState = async (id: string, state: string, detail: object = {}) => {
  await door.query(
    'update firebreak.request set state = $2, state_detail = $3, state_at = clock_timestamp() where id = $1',
    [id, state, detail],
  );
  await door.query(`select pg_notify('firebreak_request', $1)`, [id]);
};

describe('a session', () => {
  test('opens from the ready file; its files are for their owner alone', async () => {
    const opened = await firebreak('session', 'open', '--ready-file', 'ready.json', '--json');
    expect(opened).toMatchObject({ code: 0, stderr: '' });
    const { sessionId } = json(opened.stdout);
    const folder = join(directory, 'firebreak-session');
    for (const file of ['session.json', 'agent-key.jwk']) {
      expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
    }
    expect(json(await readFile(join(folder, 'session.json'), 'utf8'))).toMatchObject({ sessionId });
    expect(opened.stdout).not.toContain('eyJ');
  });

  test('a purpose that is not the workload’s is refused with its code', async () => {
    const refused = await firebreak('session', 'open', '--ready-file', 'ready.json', '--purpose', 'admin');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^NOT_PERMITTED: /);
  });
});

describe('a request', () => {
  beforeAll(async () => void (await firebreak('session', 'open', '--ready-file', 'ready.json')));

  test('is submitted, shown and listed', async () => {
    const requestId = await submitted();
    const shown = await firebreak('requests', 'show', requestId, '--json');
    expect(shown.code).toBe(3);
    expect(json(shown.stdout)).toMatchObject({ requestId, state: 'accepted' });
    const listed = await firebreak('requests', 'list', '--limit', '1', '--json');
    expect(json(listed.stdout)).toMatchObject({ requests: [{ requestId }] });
    expect((await firebreak('requests', 'list')).stdout).toContain(requestId);
  });

  test('is the same one under the same key', async () => {
    expect(await submitted('--idempotency-key', 'k')).toBe(await submitted('--idempotency-key', 'k'));
  });

  test('is cancelled once it is there, and not after it was done', async () => {
    const requestId = await submitted();
    const cancelled = await firebreak('requests', 'cancel', requestId, '--json');
    expect(cancelled).toMatchObject({ code: 0, stderr: '' });
    expect(json(cancelled.stdout)).toMatchObject({ requestId, state: 'cancelled' });
    const other = await submitted();
    await setState(other, 'done');
    const refused = await firebreak('requests', 'cancel', other);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^REQUEST_CLOSED: /);
  });

  test('is undone by a request of its own, which is waited for when asked', async () => {
    const requestId = await submitted();
    const early = await firebreak('requests', 'undo', requestId);
    expect(early.code).toBe(1);
    expect(early.stderr).toMatch(/^NOTHING_KEPT: /);
    const plan = { version: 1, summary: [], counts: {}, undo: 'kept', effects: null };
    await door.query(
      `insert into firebreak.plan (request_id, revision, plan_hash, body, statement) values ($1, 1, 'h', $2, 's')`,
      [requestId, JSON.stringify(plan)],
    );
    await setState(requestId, 'done');
    const undo = await firebreak('requests', 'undo', requestId, '--json');
    expect(undo.code).toBe(0);
    const { requestId: undoId } = json(undo.stdout);
    const waited = await firebreak('requests', 'undo', requestId, '--wait', '--timeout', '1', '--json');
    expect(waited.code).toBe(3);
    expect(json(waited.stdout)).toMatchObject({ requestId: undoId, action: 'test.things.restore' });
  });

  test.each([
    ['done', 0, ''],
    ['denied', 1, 'DENIED'],
    ['failed', 1, 'PLAN_UNSUPPORTED'],
    ['waiting', 3, ''],
    ['expired', 4, 'APPROVAL_EXPIRED'],
    ['indeterminate', 5, 'RECEIPT_EXPIRED'],
  ])('that is %s exits %i', async (state, code, said) => {
    const requestId = await submitted();
    await setState(requestId, state, said === '' ? {} : { code: said });
    const shown = await firebreak('requests', 'show', requestId);
    expect(shown.code).toBe(code);
    expect(shown.stderr).toMatch(said === '' ? /^$/ : new RegExp(`^${said}: `));
  });

  test('is waited for until it ends, or until the time is over', async () => {
    const short = await firebreak(
      'submit',
      'test.things.delete',
      '--input',
      'input.json',
      '--wait',
      '--timeout',
      '1',
    );
    expect(short.code).toBe(3);
    const waiting = firebreak(
      'submit',
      'test.things.delete',
      '--input',
      'input.json',
      '--wait',
      '--idempotency-key',
      'w',
    );
    const requestId = await submitted('--idempotency-key', 'w');
    await setState(requestId, 'done');
    expect(await waiting).toMatchObject({ code: 0 });
  });

  test('with faults names each of them as the door does, also those that a parser would hide', async () => {
    await writeFile(
      join(directory, 'wrong.json'),
      '{"database":"shop","database":"bank","table":"t","ids":[1]}',
    );
    const refused = await firebreak('submit', 'test.things.delete', '--input', 'wrong.json');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('INVALID_INPUT: ');
    expect(refused.stderr).toContain('/input/database: member stands twice');
  });
});

describe('digest', () => {
  test('prints the digest and the canonical bytes', async () => {
    await writeFile(join(directory, 'value.json'), '{ "b": 1E30, "a": "\\u00e9\\u0000" }');
    expect((await firebreak('digest', 'value.json', '--canonical')).stdout).toBe(
      '{"a":"é\\u0000","b":1e+30}',
    );
    const expected = canonicalDigest({ b: 1e30, a: 'é\0' });
    expect((await firebreak('digest', 'value.json')).stdout).toBe(`${expected}\n`);
    expect((await firebreak('digest', 'nowhere.json')).code).toBe(1);
  });
});

test('help exits 0, wrong usage 2', async () => {
  expect((await firebreak('--help')).code).toBe(0);
  expect((await firebreak('nonsense')).code).toBe(2);
  expect((await firebreak('submit', 'x')).code).toBe(2);
  expect((await firebreak('requests', 'list', '--limit', '0')).code).toBe(2);
});
