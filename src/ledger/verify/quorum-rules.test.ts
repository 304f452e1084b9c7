import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FirebreakDatabase, startFirebreakDatabase } from '../../../test/fixtures/firebreak-database.ts';
import { type BrokenLog, judge, judgeBroken, other } from '../../../test/fixtures/ledger-judge.ts';
import {
  change,
  changed,
  order,
  type Step,
  type Story,
  type StoryOptions,
  signVote,
  stepOf,
  tellStory,
  whole,
} from '../../../test/fixtures/ledger-story.ts';
import { rules } from './check-entry.ts';
import { quorumRules, voteConditions } from './quorum-rules.ts';

let database: FirebreakDatabase;
beforeAll(async () => {
  database = await startFirebreakDatabase();
});
afterAll(async () => await database.stop());

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
const cases: BrokenLog[] = [
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
    what: 'one person where the plan told of a trigger, and the gate of nothing',
    steps: changed('planned', { overshoot: 1 }),
  },
  {
    invariant: 'S1',
    rule: 'quorum',
    what: 'one person where the gate told of something besides',
    steps: changed('consumed', { overshoot: 2 }),
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
];

describe('a rule', () => {
  test.each(cases)('$invariant, $rule: $what is found, and by this rule alone', async (broken) => {
    const { found, requestId, takenOut, foundWithout } = await judgeBroken(database, broken);
    expect(found).toMatchObject({ invariant: broken.invariant, requestId });
    expect(takenOut).toBe(1);
    expect(foundWithout?.sentence).not.toBe(found?.sentence);
  });

  test('has a case for each of them', () => {
    const covered = new Set(cases.map(({ rule }) => rule));
    expect(
      quorumRules()
        .map(({ name }) => name)
        .filter((name) => !covered.has(name)),
    ).toEqual([]);
  });
});

test('a consumption of what could do more holds with the votes of two persons', async () => {
  const story = await tellStory(database);
  const { requestId = '', digest = '', votes = [] } = stepOf(story, 'consumed').facts;
  const second = await signVote(database, { requestId, digest, voter: 'paul' });
  const voted = stepOf(story, 'voted');
  change(story, 'planned', { overshoot: 1 });
  change(story, 'consumed', { overshoot: 1, quorum: 2, votes: [...votes, second] });
  const again = { ...voted, facts: { ...voted.facts, voter: 'paul', votes: [second] } };
  expect(await judge(database, order(story, { before: ['minted', [again]] }))).toBeNull();
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
      expect(await judge(database, told)).toMatchObject({
        invariant: 'S1',
        sentence: expect.stringMatching(/0 persons/),
      });
      const names = condition === 'is a yes' ? [condition, 'on this request and digest'] : [condition];
      const fewer = voteConditions.filter(({ name }) => !names.includes(name));
      const quorum = quorumRules(fewer);
      const swapped = rules.map((rule) => quorum.find(({ name }) => name === rule.name) ?? rule);
      expect(await judge(database, told, { rules: swapped })).toBeNull();
    },
  );

  test('is not judged by who cast it where no people are known', async () => {
    const told = whole(await tellStory(database, { voter: 'nobody' }));
    expect(await judge(database, told, { directory: undefined })).toBeNull();
  });
});
