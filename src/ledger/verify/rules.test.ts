import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { directory } from '../../../test/fixtures/electorate.ts';
import { type FirebreakDatabase, startFirebreakDatabase } from '../../../test/fixtures/firebreak-database.ts';
import {
  type Step,
  type StepName,
  type Story,
  type StoryOptions,
  signVote,
  tellStory,
  writeSteps,
} from '../../../test/fixtures/ledger-story.ts';
import { sha256Base64url } from '../../canonical.ts';
import type { Breach, Invariant } from './breach.ts';
import { createEntryCheck, type EntryCheckOptions, rules } from './check-entry.ts';
import { quorumRules, voteConditions } from './quorum-rules.ts';
import { readEntry } from './read-entry.ts';

let database: FirebreakDatabase;
beforeAll(async () => {
  database = await startFirebreakDatabase();
});
afterAll(async () => await database.stop());

const other = sha256Base64url('something else');

/** The first breach among signed entries, as the whole log's verifier finds it. */
async function judge(steps: readonly Step[], options: EntryCheckOptions = {}): Promise<Breach | null> {
  const check = createEntryCheck({ directory, ...options });
  const trust = { keys: database.keys, nowS: Math.floor(Date.now() / 1_000) };
  for (const [leafIndex, jws] of (await writeSteps(database, steps)).entries()) {
    const read = await readEntry({ leafIndex, jws }, trust);
    const breach = read.kind === 'breach' ? read.breach : check(read);
    if (breach !== null) return breach;
  }
  return null;
}

function stepOf({ steps }: Story, name: StepName): Step {
  const step = steps.get(name);
  if (step === undefined) throw new TypeError(`expected a step ${name}`);
  return step;
}

function change(story: Story, name: StepName, facts: Partial<Step['facts']>): void {
  const step = stepOf(story, name);
  story.steps.set(name, { ...step, facts: { ...step.facts, ...facts } });
}

/** The steps again, with some left out and others put in before a step. */
function order(
  story: Story,
  change: { drop?: StepName[]; before?: [StepName, Step[]]; end?: Step[] },
): Step[] {
  const { drop = [], before, end = [] } = change;
  const names = [...story.steps.keys()] as StepName[]; // The keys that tellStory set.
  const kept = names.filter((name) => !drop.includes(name));
  return [
    ...kept.flatMap((name) => [...(before?.[0] === name ? before[1] : []), stepOf(story, name)]),
    ...end,
  ];
}

const whole = (story: Story) => order(story, {});

type Case = {
  invariant: Invariant;
  rule: string;
  what: string;
  options?: StoryOptions;
  steps: (story: Story) => Step[] | Promise<Step[]>;
};

const changed = (name: StepName, facts: Partial<Step['facts']>) => (story: Story) => {
  change(story, name, facts);
  return whole(story);
};
const dropped =
  (...drop: StepName[]) =>
  (story: Story) =>
    order(story, { drop });

const deny = (story: Story): Step => {
  const step = stepOf(story, 'voted');
  return { ...step, facts: { ...step.facts, voter: 'paul', decision: 'deny' } };
};

async function denied(story: Story): Promise<Step> {
  const step = deny(story);
  const { requestId, digest = '' } = step.facts;
  const statement = await signVote(database, {
    requestId: requestId ?? '',
    digest,
    voter: 'paul',
    vote: { vote: 'deny' },
  });
  return { ...step, facts: { ...step.facts, votes: [statement] } };
}

/** A second attempt of the same request, all of it again under another capability. */
function again(story: Story, facts: Partial<Step['facts']>): Step[] {
  return (['minted', 'consumed', 'performed'] as const).map((name) => {
    const step = stepOf(story, name);
    const attempt = name === 'minted' ? { capability: 'second' } : { capability: 'second', ...facts };
    return { ...step, facts: { ...step.facts, ...attempt } };
  });
}

const cases: Case[] = [
  {
    invariant: 'S4',
    rule: 'a request first',
    what: 'an effect that nobody requested',
    steps: dropped('requested'),
  },
  {
    invariant: 'S4',
    rule: 'requested once',
    what: 'a request that is filed again in the middle',
    steps: (story) => order(story, { before: ['planned', [stepOf(story, 'requested')]] }),
  },
  {
    invariant: 'S6',
    rule: 'one revision',
    what: 'an approval of another revision',
    steps: changed('asked', { revision: 2 }),
  },
  {
    invariant: 'S6',
    rule: 'one request digest',
    what: 'a mint for another request digest',
    steps: changed('minted', { requestDigest: other }),
  },
  {
    invariant: 'S7',
    rule: 'one context',
    what: 'a consumption in another tenant',
    steps: changed('consumed', { tenant: 'globex' }),
  },
  {
    invariant: 'S6',
    rule: 'shown as planned',
    what: 'a card of another plan than the planner’s',
    steps: changed('planned', { planHash: other }),
  },
  {
    invariant: 'S6',
    rule: 'voted as shown',
    what: 'a vote on what nobody was shown',
    steps: async (story) => {
      const { requestId = '' } = stepOf(story, 'voted').facts;
      const statement = await signVote(database, { requestId, digest: other, voter: 'paul' });
      const step = stepOf(story, 'voted');
      const facts = { ...step.facts, digest: other, voter: 'paul', votes: [statement] };
      return order(story, { before: ['voted', [{ ...step, facts }]] });
    },
  },
  {
    invariant: 'S6',
    rule: 'vote as recorded',
    what: 'a vote recorded as somebody else’s',
    steps: changed('voted', { voter: 'paul' }),
  },
  {
    invariant: 'S4',
    rule: 'decided before minted',
    what: 'a capability against the broker’s own no',
    steps: changed('rechecked', { decision: 'deny' }),
  },
  {
    invariant: 'S4',
    rule: 'decided before minted',
    what: 'a capability before anybody voted',
    steps: (story) => order(story, { drop: ['minted'], before: ['voted', [stepOf(story, 'minted')]] }),
  },
  {
    invariant: 'S6',
    rule: 'minted as shown',
    what: 'a capability for another plan under the approved digest',
    steps: (story) => {
      change(story, 'consumed', { planHash: other });
      return changed('minted', { planHash: other })(story);
    },
  },
  {
    invariant: 'S2',
    rule: 'consumed once',
    what: 'a capability that is consumed twice',
    steps: (story) => {
      const step = stepOf(story, 'consumed');
      return order(story, { before: ['traded', [{ ...step, facts: { ...step.facts, fence: 2 } }]] }).filter(
        ({ facts }) => facts.kind !== 'traded' && facts.kind !== 'performed' && facts.kind !== 'ended',
      );
    },
  },
  {
    invariant: 'S10',
    rule: 'an end is final',
    what: 'a consumption after the request was denied',
    steps: (story) => {
      const step = stepOf(story, 'ended');
      const end = { ...step, facts: { ...step.facts, outcome: 'denied' } };
      return order(story, {
        drop: ['traded', 'performed', 'ended'],
        before: ['consumed', [end]],
      });
    },
  },
  {
    invariant: 'S10',
    rule: 'an end is final',
    what: 'an expired request that is ended again as failed',
    steps: (story) => {
      const step = stepOf(story, 'ended');
      const as = (outcome: string) => ({ ...step, facts: { ...step.facts, outcome } });
      return order(story, {
        drop: ['minted', 'consumed', 'traded', 'performed', 'ended'],
        end: [as('expired'), as('failed')],
      });
    },
  },
  {
    invariant: 'S5',
    rule: 'session lives',
    what: 'a consumption in a revoked session',
    steps: (story) => {
      const { session = '' } = stepOf(story, 'requested').facts;
      const revoked: Step = { author: 'broker', facts: { kind: 'session-revoked', session } };
      return order(story, { before: ['consumed', [revoked]] });
    },
  },
  {
    invariant: 'S4',
    rule: 'minted before consumed',
    what: 'a consumption of what was never minted',
    steps: dropped('minted'),
  },
  {
    invariant: 'S6',
    rule: 'consumed as minted',
    what: 'a consumption of another plan than the minted one',
    steps: changed('consumed', { planHash: other }),
  },
  {
    invariant: 'S3',
    rule: 'one attempt a fence',
    what: 'a second attempt beside the first',
    steps: (story) => {
      change(story, 'performed', { outcome: 'refused' });
      return order(story, { before: ['ended', again(story, { fence: 1 })] });
    },
  },
  {
    invariant: 'S3',
    rule: 'one effect',
    what: 'a second effect of one request',
    steps: (story) => order(story, { before: ['ended', again(story, { fence: 2 })] }),
  },
  {
    invariant: 'S1',
    rule: 'one effect class',
    what: 'a consumption under a lower class than the requested one',
    steps: (story) => {
      change(story, 'consumed', { effectClass: 'read' });
      return whole(story);
    },
  },
  {
    invariant: 'S1',
    rule: 'votes were recorded',
    what: 'a consumption by a vote that was never cast',
    steps: async (story) => {
      const { requestId = '', digest = '', votes = [] } = stepOf(story, 'consumed').facts;
      const forged = await signVote(database, { requestId, digest, voter: 'paul' });
      return changed('consumed', { votes: [...votes, forged] })(story);
    },
  },
  {
    invariant: 'S1',
    rule: 'nobody denied',
    what: 'a consumption against a person’s no',
    steps: async (story) => order(story, { before: ['minted', [await denied(story)]] }),
  },
  {
    invariant: 'S1',
    rule: 'quorum',
    what: 'a consumption without any vote',
    steps: changed('consumed', { votes: [] }),
  },
  {
    invariant: 'S1',
    rule: 'quorum',
    what: 'a consumption that names no quorum and has no vote',
    steps: changed('consumed', { votes: [], quorum: 0 }),
  },
  {
    invariant: 'S1',
    rule: 'quorum',
    what: 'one person who counts for two',
    steps: (story) => {
      const { votes = [] } = stepOf(story, 'consumed').facts;
      return changed('consumed', { votes: [...votes, ...votes], quorum: 2 })(story);
    },
  },
  {
    invariant: 'S1',
    rule: 'quorum',
    what: 'an irreversible act by relayed votes',
    steps: (story) => {
      change(story, 'consumed', { effectClass: 'irreversible' });
      return changed('requested', { effectClass: 'irreversible' })(story);
    },
  },
  {
    invariant: 'S4',
    rule: 'consumed before used',
    what: 'a trade without a consumption',
    steps: dropped('consumed', 'performed', 'ended'),
  },
  {
    invariant: 'S4',
    rule: 'consumed before used',
    what: 'an effect without a consumption',
    steps: (story) => order(story, { drop: ['consumed', 'traded'] }),
  },
  {
    invariant: 'S6',
    rule: 'used as consumed',
    what: 'a trade for another digest',
    steps: changed('traded', { digest: other }),
  },
  {
    invariant: 'S6',
    rule: 'used as consumed',
    what: 'an effect of another digest than the consumed one',
    steps: changed('performed', { digest: other }),
  },
  {
    invariant: 'S6',
    rule: 'used as consumed',
    what: 'an effect at another fence',
    steps: changed('performed', { fence: 2 }),
  },
  {
    invariant: 'S4',
    rule: 'nothing in flight',
    what: 'a trade after everything was over',
    steps: (story) => order(story, { end: [stepOf(story, 'traded')] }),
  },
  {
    invariant: 'S4',
    rule: 'done by an effect',
    what: 'done without an effect',
    steps: changed('performed', { outcome: 'refused' }),
  },
];

describe('a log', () => {
  test('of requests that went well holds', async () => {
    const stories = await Promise.all([1, 2].map(async () => await tellStory(database)));
    expect(await judge(stories.flatMap(whole))).toBeNull();
  });

  test('whose requests stand between each other holds', async () => {
    const [one, two] = [whole(await tellStory(database)), whole(await tellStory(database))];
    expect(await judge(one.flatMap((step, at) => [step, two[at] ?? step]))).toBeNull();
  });

  test.each(['denied', 'expired', 'cancelled', 'failed'])(
    'of a request that ended %s holds',
    async (outcome) => {
      const story = await tellStory(database);
      change(story, 'ended', { outcome });
      const steps = order(story, { drop: ['rechecked', 'minted', 'consumed', 'traded', 'performed'] });
      expect(await judge(steps)).toBeNull();
    },
  );

  test('of an attempt whose outcome is unknown holds, also when it becomes known after the end', async () => {
    const story = await tellStory(database);
    change(story, 'performed', { outcome: 'unknown' });
    change(story, 'ended', { outcome: 'indeterminate' });
    expect(await judge(whole(story))).toBeNull();
    const late = await tellStory(database);
    change(late, 'ended', { outcome: 'cancelled' });
    const steps = order(late, { drop: ['performed'], end: [stepOf(late, 'performed')] });
    expect(await judge(steps)).toBeNull();
  });

  test('of a refused attempt and a second one at the next fence holds', async () => {
    const story = await tellStory(database);
    change(story, 'performed', { outcome: 'refused' });
    const second = again(story, { fence: 2, outcome: 'applied' });
    expect(await judge(order(story, { before: ['ended', second] }))).toBeNull();
  });

  test('of a read that needs no person holds', async () => {
    const story = await tellStory(database);
    for (const name of ['submitted', 'decided', 'rechecked'] as const)
      change(story, name, { decision: 'allow', quorum: 0, groups: [] });
    for (const name of ['requested', 'consumed'] as const) change(story, name, { effectClass: 'read' });
    change(story, 'consumed', { votes: [], quorum: 0 });
    expect(await judge(order(story, { drop: ['asked', 'voted'] }))).toBeNull();
  });

  test('of a request that was planned, asked and approved anew holds', async () => {
    const [story, replanned] = [await tellStory(database), await tellStory(database)];
    const asked = ['planned', 'decided', 'asked'].map((name) => stepOf(story, name as StepName)); // Names of steps.
    const earlier = asked.map(({ author, facts }) => ({
      author,
      facts: { ...facts, ...(facts.digest === undefined ? {} : { digest: other }), planHash: other },
    }));
    expect(replanned.requestId).not.toBe(story.requestId);
    expect(await judge(order(story, { before: ['planned', earlier] }))).toBeNull();
  });
});

describe('a rule', () => {
  test.each(cases)('$invariant, $rule: $what is found', async ({ invariant, rule, options, steps }) => {
    const told = await steps(await tellStory(database, options));
    const found = await judge(told);
    expect(found).toMatchObject({ invariant, sentence: expect.stringMatching(/\w/) });
    const at = told[found?.leafIndex ?? -1]?.facts;
    expect(at?.requestId).toBe(found?.requestId);
    // Red with the check taken out: nothing else covers for it.
    const without = rules.filter(({ name }) => name !== rule);
    expect(without).toHaveLength(rules.length - 1);
    expect(await judge(told, { rules: without })).not.toMatchObject({ sentence: found?.sentence });
  });

  test('has a case for each of them', () => {
    const covered = new Set(cases.map(({ rule }) => rule));
    expect(rules.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([]);
  });
});

describe('a vote', () => {
  const lateS = Math.floor(Date.now() / 1_000) - 60;
  const votes: {
    condition: string;
    what: string;
    options: StoryOptions;
    steps?: (story: Story) => Promise<Step[]>;
  }[] = [
    {
      condition: 'is a yes',
      what: 'a no on another digest',
      options: {},
      steps: async (story) => {
        const { requestId = '' } = stepOf(story, 'voted').facts;
        const statement = await signVote(database, { requestId, digest: other, vote: { vote: 'deny' } });
        return withVote(story, { digest: other, decision: 'deny' }, statement);
      },
    },
    {
      condition: 'on this request and digest',
      what: 'a yes to another card',
      options: {},
      steps: async (story) => {
        const { requestId = '' } = stepOf(story, 'voted').facts;
        const statement = await signVote(database, { requestId, digest: other });
        return withVote(story, { digest: other }, statement);
      },
    },
    {
      condition: 'under the policy that was active',
      what: 'a yes under another policy',
      options: { vote: { policyDigest: other } },
    },
    { condition: 'in time', what: 'a yes that had expired', options: { vote: { notAfter: lateS } } },
    { condition: 'by somebody entitled', what: 'the owner’s own yes', options: { voter: 'olga' } },
    { condition: 'by somebody entitled', what: 'a yes from another group', options: { voter: 'sam' } },
    { condition: 'by somebody entitled', what: 'a stranger’s yes', options: { voter: 'nobody' } },
  ];

  /** Two cards and a vote on the other one, with which the first one is consumed; its own vote only let it be minted. */
  function withVote(story: Story, facts: Partial<Step['facts']>, statement: string): Step[] {
    const cards = (['planned', 'asked'] as const).map((name) => {
      const step = stepOf(story, name);
      return { ...step, facts: { ...step.facts, digest: other, planHash: other } };
    });
    const voted = stepOf(story, 'voted');
    const vote = { ...voted, facts: { ...voted.facts, ...facts, votes: [statement] } };
    change(story, 'consumed', { votes: [statement] });
    return order(story, { before: ['voted', [...cards, vote]] });
  }

  test.each(votes)(
    'counts only $condition: $what is found',
    async ({ condition, options, steps = whole }) => {
      const told = await steps(await tellStory(database, options));
      expect(await judge(told)).toMatchObject({
        invariant: 'S1',
        sentence: expect.stringMatching(/0 persons/),
      });
      const names = condition === 'is a yes' ? [condition, 'on this request and digest'] : [condition];
      const fewer = voteConditions.filter(({ name }) => !names.includes(name));
      const quorum = quorumRules(fewer);
      const swapped = rules.map((rule) => quorum.find(({ name }) => name === rule.name) ?? rule);
      expect(await judge(told, { rules: swapped })).toBeNull();
    },
  );

  test('is not judged by who cast it where no people are known', async () => {
    const told = whole(await tellStory(database, { voter: 'nobody' }));
    expect(await judge(told, { directory: undefined })).toBeNull();
  });
});

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
    expect(await judge(whole(story))).toMatchObject({ invariant: 'S1' });
  });
});
