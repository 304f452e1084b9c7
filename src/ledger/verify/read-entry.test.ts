import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FirebreakDatabase, startFirebreakDatabase } from '../../../test/fixtures/firebreak-database.ts';
import { judge, other } from '../../../test/fixtures/ledger-judge.ts';
import {
  change,
  type Step,
  signVote,
  stepOf,
  tellStory,
  whole,
  writeSteps,
} from '../../../test/fixtures/ledger-story.ts';
import { readEntry } from './read-entry.ts';

let database: FirebreakDatabase;
beforeAll(async () => {
  database = await startFirebreakDatabase();
});
afterAll(async () => await database.stop());

describe('an entry', () => {
  const trust = () => ({ keys: database.keys, nowS: Math.floor(Date.now() / 1_000) });
  const read = async (jws: string) => await readEntry({ leafIndex: 7, jws }, trust());
  const entryOf = async ({ author, facts }: Step) => await (await database.entryWriter(author))(facts);

  test('is read as its author signed it', async () => {
    const story = await tellStory(database);
    for (const jws of await writeSteps(database, whole(story)))
      expect(await read(jws)).toMatchObject({ kind: 'read', body: { requestId: story.requestId } });
  });

  test.each([
    ['a kind that is another domain’s', { author: 'people', facts: { kind: 'consumed' } }, /may not author/],
    ['any word of the ledger', { author: 'ledger', facts: { kind: 'ended' } }, /may not author/],
    ['a kind that nobody knows', { author: 'gate', facts: { kind: 'allowed' } }, /may not author/],
    ['a consumption of nothing', { author: 'gate', facts: { kind: 'consumed' } }, /capability/],
  ] as const)('%s is a breach', async (_name, step, sentence) => {
    expect(await read(await entryOf(step))).toMatchObject({
      breach: { invariant: 'entry', leafIndex: 7, sentence: expect.stringMatching(sentence) },
    });
  });

  test('bytes that are no entry are a breach and never an exception', async () => {
    const jws = await entryOf({ author: 'gate', facts: { kind: 'consume-refused' } });
    const [header, payload, signature] = jws.split('.');
    const vote = await signVote(database, { requestId: 'r', digest: other });
    for (const bytes of [
      '',
      'x',
      `${jws}\n`,
      `${header}.${payload}.`,
      `${header}.${Buffer.from('{"kind":"x"}').toString('base64url')}.${signature}`,
      vote,
    ])
      expect(await read(bytes)).toMatchObject({ breach: { invariant: 'entry' } });
    expect(await read(jws)).toMatchObject({ kind: 'read' });
  });

  test('with a vote statement that its voter’s door did not sign is a breach of S1', async () => {
    const story = await tellStory(database);
    const [statement = ''] = stepOf(story, 'voted').facts.votes ?? [];
    const [header, , signature] = statement.split('.');
    const forged = `${header}.${Buffer.from('{}').toString('base64url')}.${signature}`;
    change(story, 'voted', { votes: [forged] });
    expect(await judge(database, whole(story))).toMatchObject({ invariant: 'S1' });
  });
});
