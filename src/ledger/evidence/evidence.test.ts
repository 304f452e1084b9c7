import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { directory } from '../../../test/fixtures/electorate.ts';
import { type LedgerLog, startLedgerLog } from '../../../test/fixtures/ledger-log.ts';
import { type Step, type Story, signVote, tellStory } from '../../../test/fixtures/ledger-story.ts';
import { accountOf } from './account.ts';
import { collectEvidence } from './collect-evidence.ts';
import type { Evidence } from './evidence.ts';
import { verifyEvidence } from './verify-evidence.ts';

let log: LedgerLog;
let story: Story;
let other: Story;
let evidence: Evidence;

beforeAll(async () => {
  log = await startLedgerLog();
  [story, other] = [await tellStory(log.database), await tellStory(log.database)];
  for (const { requestId, steps } of [story, other]) {
    const session = `ses_${requestId}`;
    await log.append('broker', { kind: 'session-opened', session, subject: 'cleaner' });
    await appendAll(steps.values());
    await log.append('broker', { kind: 'session-revoked', session });
    await log.sequence();
  }
  evidence = (await collect(story.requestId)).evidence;
});
afterAll(async () => await log.stop());

async function appendAll(steps: Iterable<Step>): Promise<void> {
  for (const { author, facts } of steps) await log.append(author, facts);
}

const collect = async (requestId: string) =>
  await collectEvidence(log.database.open('ledger'), { requestId, keyManifest: log.database.manifest });
const verify = async (file: unknown) =>
  await verifyEvidence(file, {
    keys: log.database.keys,
    nowS: Math.floor(Date.now() / 1_000),
    directory,
  });

test('evidence of a request proves its story, with its session and its votes', async () => {
  const verdict = await verify(JSON.parse(JSON.stringify(evidence)));
  const entries = story.steps.size + 2;
  expect(evidence.entries).toHaveLength(entries);
  expect(evidence.votes).toHaveLength(1);
  expect(verdict).toMatchObject({ kind: 'holds', origin: 'firebreak.test/ledger', size: 2 * entries });
  const account = accountOf(verdict.kind === 'holds' ? verdict.entries : []);
  expect(account.map(({ leafIndex }) => leafIndex)).toEqual(Array.from({ length: entries }, (_, at) => at));
  const told = account.map(({ text }) => text).join('\n');
  expect(told).toMatch(/agent cleaner.* asked for test.things.delete/);
  expect(told).toMatch(/mia voted approve/);
  expect(told).toMatch(/consumed .* by the votes of mia/);
  expect(told).toMatch(/effect was applied at fence 1: rows 3/);
});

test('what is in no checkpoint yet is counted and left out', async () => {
  const fresh = await tellStory(log.database);
  await appendAll(fresh.steps.values());
  await expect(collect(fresh.requestId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await log.sequence();
  await log.append('gate', { kind: 'consume-refused', requestId: fresh.requestId });
  const collected = await collect(fresh.requestId);
  expect(collected.pending).toBe(1);
  expect(await verify(collected.evidence)).toMatchObject({ kind: 'holds' });
  await expect(collect('req_nobody')).rejects.toMatchObject({ code: 'UNKNOWN_REQUEST' });
});

describe('evidence is refused', () => {
  const entryAt = (file: Evidence, at: number) => {
    const entry = file.entries[at];
    if (entry === undefined) throw new TypeError('expected an entry');
    return entry;
  };
  const changes: [string, string, (file: Evidence) => unknown][] = [
    [
      'with a checkpoint of another size',
      'S9',
      (file) => ({ ...file, checkpoint: file.checkpoint.replace(/\n\d+\n/, '\n9\n') }),
    ],
    [
      'with an entry at another index',
      'S9',
      (file) => ({ ...file, entries: file.entries.with(2, { ...entryAt(file, 2), leafIndex: 99 }) }),
    ],
    ['with entries in another order', 'S9', (file) => ({ ...file, entries: file.entries.toReversed() })],
    [
      'with the proof of another entry',
      'S9',
      (file) => ({
        ...file,
        entries: file.entries.with(2, { ...entryAt(file, 2), proof: entryAt(file, 4).proof }),
      }),
    ],
    [
      'with a proof that is none',
      'S9',
      (file) => ({ ...file, entries: file.entries.with(2, { ...entryAt(file, 2), proof: ['!'] }) }),
    ],
    [
      'with a changed entry',
      'S9',
      (file) => ({
        ...file,
        entries: file.entries.with(2, { ...entryAt(file, 2), entry: `${entryAt(file, 2).entry}A` }),
      }),
    ],
    ['without the request', 'S4', (file) => ({ ...file, entries: file.entries.filter((_, at) => at !== 2) })],
    ['without the mint', 'S4', (file) => ({ ...file, entries: file.entries.filter((_, at) => at !== 9) })],
    ['of another request', 'S4', (file) => ({ ...file, requestId: other.requestId })],
    ['with no entries', 'entry', (file) => ({ ...file, entries: [] })],
    ['of another version', 'entry', (file) => ({ ...file, version: 2 })],
    ['that is no object', 'entry', () => null],
  ];
  test.each(changes)('%s', async (_name, invariant, change) => {
    expect(await verify(change(evidence))).toMatchObject({ kind: 'broken', breach: { invariant } });
  });

  test('with a vote that no entry records', async () => {
    const statement = await signVote(log.database, { requestId: story.requestId, digest: 'A'.repeat(43) });
    const votes = [...evidence.votes, { leafIndex: 7, statement }];
    expect(await verify({ ...evidence, votes })).toMatchObject({ breach: { invariant: 'S1' } });
  });

  test('with true entries of another story', async () => {
    const { evidence: own } = await collect(story.requestId);
    const { evidence: both } = await collect(other.requestId);
    expect(await verify(own)).toMatchObject({ kind: 'holds' });
    const entries = [...own.entries, ...both.entries];
    expect(await verify({ ...own, entries })).toMatchObject({ breach: { invariant: 'entry' } });
    const session = both.entries[0];
    const opened = session === undefined ? [] : [session];
    expect(await verify({ ...own, entries: [...own.entries, ...opened] })).toMatchObject({
      breach: { invariant: 'entry' },
    });
  });

  test('under the keys of another deployment, whatever the file brings along', async () => {
    const keys = { ...log.database.keys, find: () => undefined };
    const nowS = Math.floor(Date.now() / 1_000);
    expect(await verifyEvidence(evidence, { keys, nowS })).toMatchObject({ breach: { invariant: 'entry' } });
  });
});
