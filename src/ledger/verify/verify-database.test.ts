import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { directory } from '../../../test/fixtures/electorate.ts';
import { type LedgerLog, startLedgerLog } from '../../../test/fixtures/ledger-log.ts';
import { tellStory } from '../../../test/fixtures/ledger-story.ts';
import type { DatabasePool } from '../../database/pool.ts';
import { domains } from '../../domains.ts';
import { mayAuthor } from '../entry-kinds.ts';
import { formatVerifierKey } from '../note.ts';
import { verifyLedger } from './verify-database.ts';

let log: LedgerLog;
let pool: DatabasePool;
const STORIES = 3;
const kept = ['entry', 'checkpoint', 'ledger_state'] as const;

beforeAll(async () => {
  log = await startLedgerLog();
  pool = log.database.open('ledger');
  for (let count = 0; count < STORIES; count += 1) {
    const story = await tellStory(log.database);
    let step = 0;
    for (const { author, facts } of story.steps.values()) {
      await log.append(author, facts);
      // Several entries under one checkpoint, and several checkpoints.
      if (++step % 4 === 0) await log.sequence();
    }
  }
  await log.sequence();
  // Whoever owns the server is bound by no constraint.
  await log.attack(
    'alter table firebreak.entry drop constraint entry_leaf_index_key, drop constraint entry_pkey',
  );
  for (const table of kept)
    await log.attack(`create temporary table kept_${table} as table firebreak.${table}`);
});
afterEach(async () => {
  await log.attack('truncate firebreak.entry, firebreak.checkpoint, firebreak.ledger_state');
  for (const table of kept) {
    const values = table === 'entry' ? 'overriding system value' : '';
    await log.attack(`insert into firebreak.${table} ${values} select * from kept_${table}`);
  }
});
afterAll(async () => await log.stop());

const options = () => ({
  keys: log.database.keys,
  nowS: Math.floor(Date.now() / 1_000),
  directory,
});
const verify = async () => await verifyLedger(pool, options());

async function sizeNow(): Promise<number> {
  const [row] = await log.attack('select size from firebreak.ledger_state');
  return Number(row?.['size']);
}

test('a good log holds, and says which one it is', async () => {
  const size = await sizeNow();
  const seen: number[] = [];
  const verdict = await verifyLedger(pool, { ...options(), onProgress: (done, all) => seen.push(done, all) });
  const [newest] = await log.attack('select note from firebreak.checkpoint order by size desc limit 1');
  expect(verdict).toMatchObject({ kind: 'holds', origin: 'firebreak.test/ledger', size, unsequenced: 0 });
  expect(newest?.['note']).toContain(`\n${size}\n${verdict.kind === 'holds' ? verdict.root : ''}\n`);
  expect(seen).toEqual([size, size]);
});

test('entries that wait for the sequencer are a number and no fault', async () => {
  await log.append('broker', { kind: 'session-opened' });
  await log.append('broker', { kind: 'session-opened' });
  expect(await verify()).toMatchObject({ kind: 'holds', unsequenced: 2 });
});

test('the empty log holds', async () => {
  await log.attack('truncate firebreak.entry, firebreak.checkpoint');
  await log.attack(
    `update firebreak.ledger_state set size = 0, root = sha256(''), range = '{"size":0,"hashes":[]}'`,
  );
  expect(await verify()).toMatchObject({ kind: 'broken', breach: { invariant: 'S9', leafIndex: null } });
  await log.sequence();
  expect(await verify()).toMatchObject({ kind: 'holds', size: 0, checkpoints: 1 });
});

describe('an owner of the database', () => {
  test.each([
    ['deletes an entry', 'delete from firebreak.entry where leaf_index = 5', 'S9', 5],
    [
      'deletes an entry and closes the gap',
      'delete from firebreak.entry where leaf_index = 12; update firebreak.entry set leaf_index = leaf_index - 1 where leaf_index > 12',
      'S9',
      12,
    ],
    [
      'swaps two entries',
      `update firebreak.entry set leaf_index = case leaf_index when 13 then 26 else 13 end where leaf_index in (13, 26)`,
      'S9',
      12,
    ],
    [
      'changes what an entry says',
      `update firebreak.entry set jws = regexp_replace(jws, '[.].', '.f') where leaf_index = 7`,
      'entry',
      7,
    ],
    [
      'gives an entry to another request',
      `update firebreak.entry set request_id = 'x' where leaf_index = 3`,
      'entry',
      3,
    ],
    [
      'gives an entry to another author',
      `update firebreak.entry set author = 'broker', kind = 'decided' where leaf_index = 1`,
      'entry',
      1,
    ],
    [
      'gives an entry to another login',
      `update firebreak.entry set appended_by = 'firebreak_gate' where leaf_index = 1`,
      'entry',
      1,
    ],
    [
      'puts an entry below the log',
      'update firebreak.entry set leaf_index = -1 where leaf_index = 20',
      'S9',
      0,
    ],
    [
      'hides a second entry at an index',
      'update firebreak.entry set leaf_index = 499 where leaf_index = 38',
      'S9',
      38,
    ],
    [
      'changes a checkpoint',
      `update firebreak.checkpoint set note = replace(note, E'\n8\n', E'\n9\n') where size = 8`,
      'S9',
      7,
    ],
    [
      'changes a root beside its note',
      `update firebreak.checkpoint set root = sha256('') where size = 8`,
      'S9',
      7,
    ],
    [
      'copies a checkpoint over another',
      'update firebreak.checkpoint set note = (select note from firebreak.checkpoint where size = 4) where size = 8',
      'S9',
      7,
    ],
    ['removes all checkpoints', 'delete from firebreak.checkpoint', 'S9', null],
    ['says that the log is shorter', 'update firebreak.ledger_state set size = 4', 'S9', null],
    ['says that its root is another one', `update firebreak.ledger_state set root = sha256('')`, 'S9', null],
    ['says that it has no state', 'delete from firebreak.ledger_state', 'S9', null],
    ['says that it is endless', 'update firebreak.ledger_state set size = 9223372036854775807', 'S9', null],
    [
      'puts no bytes where a note was',
      `alter table firebreak.checkpoint alter note drop not null; update firebreak.checkpoint set note = null`,
      'S9',
      null,
    ],
  ] as const)('who %s is found', async (_name, tampering, invariant, leafIndex) => {
    await log.attack(tampering);
    expect(await verify()).toMatchObject({ kind: 'broken', breach: { invariant, leafIndex } });
    await log.attack('delete from firebreak.checkpoint where note is null');
    await log.attack('alter table firebreak.checkpoint alter note set not null');
  });

  test('who cuts the newest entries off, with their checkpoint or without, is found', async () => {
    const size = await sizeNow();
    await log.attack(`delete from firebreak.entry where leaf_index >= ${size - 2}`);
    expect(await verify()).toMatchObject({ breach: { invariant: 'S9', leafIndex: size - 2 } });
    await log.attack(`delete from firebreak.checkpoint where size > ${size - 2}`);
    expect(await verify()).toMatchObject({ breach: { invariant: 'S9' } });
  });

  test('who removes the checkpoint of the newest entries is found', async () => {
    const size = await sizeNow();
    await log.attack(
      'delete from firebreak.checkpoint where size = (select max(size) from firebreak.checkpoint)',
    );
    const [before] = await log.attack('select max(size) as size from firebreak.checkpoint');
    expect(size).toBeGreaterThan(Number(before?.['size']));
    expect(await verify()).toMatchObject({
      breach: { invariant: 'S9', leafIndex: Number(before?.['size']) },
    });
  });

  test('who writes a second row at an index, behind the border of a page, is found', async () => {
    const pageEntries = 13;
    await log.attack(
      `insert into firebreak.entry overriding system value
       select * from firebreak.entry where leaf_index = ${pageEntries - 1}`,
    );
    expect(await verifyLedger(pool, { ...options(), pageEntries })).toMatchObject({
      kind: 'broken',
      breach: { invariant: 'S9' },
    });
  });

  test('who sets the log back to an older state, and forgets a checkpoint, is found', async () => {
    await log.attack('delete from firebreak.entry where leaf_index >= 4');
    await log.attack(
      `update firebreak.ledger_state set size = 4, root = (select root from firebreak.checkpoint where size = 4)`,
    );
    expect(await verify()).toMatchObject({ breach: { invariant: 'S9', leafIndex: 4 } });
    // Without a witness, an older state is only an older state: it is whole, and nobody here can tell.
    await log.attack('delete from firebreak.checkpoint where size > 4');
    expect(await verify()).toMatchObject({ kind: 'holds', size: 4 });
  });

  test('who signs an entry anew by a stolen key of its author is found by the tree', async () => {
    const [row] = await log.attack('select jws, id from firebreak.entry where leaf_index = 3');
    const claims = JSON.parse(Buffer.from(String(row?.['jws']).split('.')[1] ?? '', 'base64url').toString());
    const { iss: _iss, version: _version, time: _time, ...facts } = { ...claims, counts: { rows: 4 } };
    const write = await log.database.entryWriter('planner');
    const forged = await write(facts);
    const id = JSON.parse(Buffer.from(forged.split('.')[1] ?? '', 'base64url').toString()).id;
    await log.attack('update firebreak.entry set jws = $1, id = $2 where leaf_index = 3', [forged, id]);
    expect(await verify()).toMatchObject({
      breach: { invariant: 'S9', sentence: expect.stringMatching(/leaves \d+ to \d+ are not those/) },
    });
  });

  test('who writes an entry of one domain by another one’s key is found', async () => {
    const story = await tellStory(log.database);
    const consumed = story.steps.get('consumed');
    const write = await log.database.entryWriter('executor');
    const forged = await write({ kind: 'consumed', ...consumed?.facts });
    const id = JSON.parse(Buffer.from(forged.split('.')[1] ?? '', 'base64url').toString()).id;
    await log.attack(
      `insert into firebreak.entry (id, author, kind, request_id, jws, appended_by)
       values ($1, 'gate', 'consumed', $2, $3, 'firebreak_gate')`,
      [id, story.requestId, forged],
    );
    const leafIndex = await sizeNow();
    await log.sequence();
    expect(await verify()).toMatchObject({ breach: { invariant: 'entry', leafIndex } });
  });
});

test('a log of another key is refused by its readers', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const ledger = formatVerifierKey('firebreak.test/ledger', createPublicKey(privateKey));
  const keys = { ...log.database.keys, ledger };
  expect(await verifyLedger(pool, { ...options(), keys })).toMatchObject({
    kind: 'broken',
    breach: { invariant: 'S9', sentence: expect.stringMatching(/known key/) },
  });
});

test('the login that reads the ledger cannot change it', async () => {
  for (const table of kept) {
    await expect(pool.run(`delete from firebreak.${table}`)).rejects.toThrow(/permission denied/);
    await expect(pool.run(`truncate firebreak.${table}`)).rejects.toThrow(/permission denied/);
  }
});

test('who may author what is the same in the code and in the database', async () => {
  const rows = await log.attack('select author, kind from firebreak.entry_kind');
  expect(rows.length).toBeGreaterThan(0);
  const pairs = new Set(rows.map(({ author, kind }) => `${String(author)} ${String(kind)}`));
  const kinds = new Set(rows.map(({ kind }) => String(kind)));
  for (const author of domains)
    for (const kind of kinds) expect(mayAuthor(author, kind)).toBe(pairs.has(`${author} ${kind}`));
});
