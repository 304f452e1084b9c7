import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type LedgerLog, startLedgerLog } from '../../test/fixtures/ledger-log.ts';
import { openCheckpoint } from './checkpoint.ts';
import { createLogServer } from './log-server.ts';
import { leafHash, rootOf } from './merkle.ts';
import { parseVerifierKey } from './note.ts';
import { loadNoteKey } from './note-key.ts';
import { takeTurn } from './take-turn.ts';

let log: LedgerLog;
beforeAll(async () => {
  log = await startLedgerLog();
});
afterAll(async () => await log.stop());

const invalid = { code: 'LEDGER_INVALID' };
const opened = () => log.append('broker', { kind: 'session-opened' });
const verifier = () => parseVerifierKey(log.database.keys.ledger);

async function leaves() {
  const rows = await log.attack(
    'select leaf_index, jws from firebreak.entry where leaf_index is not null order by leaf_index',
  );
  return rows.map(({ leaf_index, jws }) => ({ index: Number(leaf_index), jws: String(jws) }));
}

async function countWaiting(): Promise<number> {
  const [row] = await log.attack('select count(*) from firebreak.entry where leaf_index is null');
  return Number(row?.['count']);
}

async function untilSequenced(timeoutMs: number): Promise<number> {
  const began = performance.now();
  while ((await countWaiting()) > 0 && performance.now() - began < timeoutMs) await delay(2);
  return performance.now() - began;
}

/** Every index once, from 0; every checkpoint is signed and is the root of what stands below it. */
async function expectWhole(): Promise<void> {
  const placed = await leaves();
  expect(placed.map(({ index }) => index)).toEqual(placed.map((_, at) => at));
  const hashes = placed.map(({ jws }) => leafHash(Buffer.from(jws)));
  const checkpoints = await log.attack('select note from firebreak.checkpoint order by size');
  for (const { note } of checkpoints) {
    const { size, root } = openCheckpoint(String(note), verifier());
    expect(Buffer.from(root)).toEqual(Buffer.from(rootOf(hashes.slice(0, size))));
  }
  expect(checkpoints.length).toBeGreaterThan(0);
}

describe('the sequencer', () => {
  test('signs the empty tree first, once', async () => {
    for (let start = 0; start < 2; start += 1) await (await log.startSequencer()).close();
    const [row, ...more] = await log.attack('select size, note from firebreak.checkpoint');
    expect([row?.['size'], more]).toEqual(['0', []]);
    await expectWhole();
  });

  test.each([
    ['its ring', true],
    ['its own look when notifications are lost', false],
  ])('places an entry soon after it is durable, by %s', async (_name, listens) => {
    const sequencer = await log.startSequencer({ listens });
    await opened();
    await untilSequenced(5_000);
    await sequencer.close();
    expect(await countWaiting()).toBe(0);
    await expectWhole();
  });

  test('two take turns under concurrent appenders: no gap, none twice', async () => {
    const sequencers = [await log.startSequencer(), await log.startSequencer()];
    const before = (await leaves()).length;
    const appender = async () => {
      for (let entry = 0; entry < 25; entry += 1) await opened();
    };
    await Promise.all(Array.from({ length: 8 }, appender));
    await untilSequenced(10_000);
    for (const sequencer of sequencers) await sequencer.close();
    expect((await leaves()).length - before).toBe(200);
    expect(sequencers.flatMap(({ failures }) => failures)).toEqual([]);
    await expectWhole();
  });

  test('places in the order of appending, whatever the clock said', async () => {
    const [first, second] = [await opened(), await opened()];
    await log.attack(
      `update firebreak.entry set recorded_at = recorded_at - interval '1 hour' where jws = $1`,
      [second],
    );
    await log.sequence();
    expect((await leaves()).slice(-2).map(({ jws }) => jws)).toEqual([first, second]);
  });

  test('that dies in the middle of a turn leaves nothing, and the next one goes on', async () => {
    const waits = await opened();
    const before = await leaves();
    const client = new Client({ connectionString: log.database.url('ledger') });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('begin');
    const held = await client.query('select * from firebreak.ledger_lock()');
    const ids = await client.query('select id from firebreak.entry where leaf_index is null');
    const note = 'a note that nobody will see';
    await client.query('select firebreak.ledger_commit($1, $2, $3, $4, $5)', [
      ids.rows.map(({ id }) => String(id)),
      held.rows[0].size,
      held.rows[0].root,
      held.rows[0].range,
      note,
    ]);
    const pid = (await client.query('select pg_backend_pid() as pid')).rows[0].pid;
    await log.attack('select pg_terminate_backend($1)', [pid]);
    await delay(50);
    expect(await leaves()).toEqual(before);
    await log.sequence();
    expect((await leaves()).at(-1)?.jws).toBe(waits);
    expect(await log.attack('select from firebreak.checkpoint where note = $1', [note])).toEqual([]);
    await expectWhole();
  });

  test('ends loudly at a write error', async () => {
    const sequencer = await log.startSequencer();
    await log.attack('alter table firebreak.checkpoint add constraint broken check (size < 0) not valid');
    await opened();
    for (let tries = 0; tries < 500 && sequencer.failures.length === 0; tries += 1) await delay(10);
    expect(sequencer.failures).toHaveLength(1);
    expect(sequencer.isReachable()).toBe(false);
    await log.attack('alter table firebreak.checkpoint drop constraint broken');
    await sequencer.close();
    await log.sequence();
    await expectWhole();
  });
});

describe('at the start', () => {
  afterEach(async () => {
    await log.attack(
      'update firebreak.ledger_state set size = s.size, root = s.root, range = s.range from saved s',
    );
    await log.attack(
      'update firebreak.checkpoint c set note = s.note from saved_note s where s.size = c.size',
    );
    await log.attack(
      'insert into firebreak.checkpoint (size, root, note) select size, root, note from saved_note on conflict do nothing',
    );
    await (await log.startSequencer()).close();
  });
  beforeAll(async () => {
    await log.sequence();
    await log.attack('create temporary table saved as select * from firebreak.ledger_state');
    await log.attack(
      'create temporary table saved_note as select size, root, note from firebreak.checkpoint',
    );
  });

  test.each([
    ['a stored range of another tree', `update firebreak.ledger_state set range = '{"size":0,"hashes":[]}'`],
    ['a stored root of another tree', `update firebreak.ledger_state set root = sha256('')`],
    ['a stored size of another tree', 'update firebreak.ledger_state set size = size + 1'],
    [
      'an empty tree under a newest checkpoint',
      `update firebreak.ledger_state set size = 0, root = sha256(''), range = '{"size":0,"hashes":[]}'`,
    ],
    ['no checkpoints', 'delete from firebreak.checkpoint'],
    [
      'a newest checkpoint whose signature does not hold',
      `update firebreak.checkpoint set note = overlay(note placing 'AAAA' from length(note) - 10)
       where size = (select max(size) from firebreak.checkpoint)`,
    ],
    [
      'a newest checkpoint that is an older one again',
      `update firebreak.checkpoint set note = (select note from firebreak.checkpoint where size = 0)
       where size = (select max(size) from firebreak.checkpoint)`,
    ],
  ])('%s is refused', async (_name, tampering) => {
    await log.attack(tampering);
    await expect(log.startSequencer()).rejects.toMatchObject(invalid);
  });
});

test('a log that was set back under a running sequencer is not signed again', async () => {
  const { signer } = await loadNoteKey(join(log.database.keysDirectory('ledger'), 'note.key'));
  const turn = { database: log.database.open('ledger'), signer, log: verifier() };
  const { checkpoint } = await takeTurn({ ...turn, seen: undefined });
  await expect(takeTurn({ ...turn, seen: checkpoint })).resolves.toMatchObject({ placed: 0 });
  const ahead = { ...checkpoint, size: checkpoint.size + 1 };
  await expect(takeTurn({ ...turn, seen: ahead })).rejects.toMatchObject(invalid);
  const other = { ...checkpoint, root: leafHash(Buffer.from('another tree')) };
  await expect(takeTurn({ ...turn, seen: other })).rejects.toMatchObject(invalid);
});

test('a key that the key manifest does not name signs nothing', async () => {
  const { signer } = await loadNoteKey(join(log.database.keysDirectory('ledger'), 'note.key'));
  const other = { ...signer, sign: (text: string) => signer.sign(`${text}\n`) };
  await opened();
  const turn = { database: log.database.open('ledger'), log: verifier(), seen: undefined };
  await expect(takeTurn({ ...turn, signer: other })).rejects.toMatchObject(invalid);
  await expect(takeTurn({ ...turn, signer })).resolves.toMatchObject({ placed: 1 });
});

test('outsiders read the newest checkpoint and the key that signed it', async () => {
  const sequencer = await log.startSequencer();
  const server = createLogServer({
    database: log.database.open('ledger'),
    verifierKey: log.database.keys.ledger,
    sequencer,
    log: log.database.log,
  });
  const key = await server.inject('/ledger/vkey');
  const checkpoint = await server.inject('/ledger/checkpoint');
  expect(checkpoint.headers['content-type']).toBe('text/plain; charset=utf-8');
  const { size } = openCheckpoint(checkpoint.body, parseVerifierKey(key.body.trim()));
  expect(size).toBe((await leaves()).length);
  expect((await server.inject('/readyz')).statusCode).toBe(200);
  await sequencer.close();
  await server.close();
});

test('no login but the ledger’s places entries, and none appends what is no signed object', async () => {
  const gate = log.database.open('gate');
  await expect(gate.run('select firebreak.ledger_lock()')).rejects.toThrow(/permission denied/);
  await expect(gate.run('update firebreak.entry set leaf_index = 0')).rejects.toThrow(/permission denied/);
  await expect(log.database.open('ledger').run('delete from firebreak.entry')).rejects.toThrow(
    /permission denied/,
  );
  const entry = await (await log.database.entryWriter('gate'))({ kind: 'consume-refused' });
  const padded = `${entry}=`;
  await expect(gate.run('select firebreak.append_entry($1)', [padded])).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  });
  await gate.run('select firebreak.append_entry($1)', [entry]);
});

// Last: it takes the database away from under everything that holds a connection.
test('a sequencer waits for a database that is away, and goes on by itself', async () => {
  const sequencer = await log.startSequencer();
  const until = async (reachable: boolean) => {
    for (let tries = 0; tries < 1_000 && sequencer.isReachable() !== reachable; tries += 1) await delay(10);
    return sequencer.isReachable();
  };
  await log.database.stopServer();
  expect(await until(false)).toBe(false);
  await log.database.startServer();
  expect(await until(true)).toBe(true);
  const gate = log.database.open('gate');
  const entry = await (await log.database.entryWriter('gate'))({ kind: 'consume-refused' });
  await gate.run('select firebreak.append_entry($1)', [entry]);
  const reader = log.database.open('ledger');
  const placed = async () =>
    await reader.rows(
      z.object({ leaf_index: z.string() }),
      'select leaf_index from firebreak.entry where jws = $1 and leaf_index is not null',
      [entry],
    );
  for (let tries = 0; tries < 500 && (await placed()).length === 0; tries += 1) await delay(10);
  expect(await placed()).toHaveLength(1);
  expect(sequencer.failures).toEqual([]);
  await sequencer.close();
});
