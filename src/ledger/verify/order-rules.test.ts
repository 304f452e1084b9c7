import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FirebreakDatabase, startFirebreakDatabase } from '../../../test/fixtures/firebreak-database.ts';
import { type BrokenLog, judge, judgeBroken, other } from '../../../test/fixtures/ledger-judge.ts';
import {
  again,
  change,
  changed,
  dropped,
  order,
  type Step,
  type StepName,
  type Story,
  signVote,
  stepOf,
  tellStory,
  whole,
} from '../../../test/fixtures/ledger-story.ts';
import { effectRules, powerRules, requestRules } from './order-rules.ts';

let database: FirebreakDatabase;
beforeAll(async () => {
  database = await startFirebreakDatabase();
});
afterAll(async () => await database.stop());

const cancelOf = (story: Story): Step => {
  const { outcome: _outcome, ...facts } = stepOf(story, 'ended').facts;
  return { author: 'gateway', facts: { ...facts, kind: 'cancelled' } };
};

const cases: BrokenLog[] = [
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
    invariant: 'S10',
    rule: 'an end is final',
    what: 'a consumption after the request was cancelled',
    steps: (story) =>
      order(story, { drop: ['traded', 'performed', 'ended'], before: ['consumed', [cancelOf(story)]] }),
  },
  {
    invariant: 'S10',
    rule: 'an end is final',
    what: 'a denied request that is cancelled afterwards',
    steps: (story) => {
      change(story, 'ended', { outcome: 'denied' });
      return order(story, {
        drop: ['minted', 'consumed', 'traded', 'performed'],
        end: [cancelOf(story)],
      });
    },
  },
  {
    invariant: 'S4',
    rule: 'cancelled in time',
    what: 'a cancellation after the point of no return',
    steps: (story) => order(story, { drop: ['traded', 'performed', 'ended'], end: [cancelOf(story)] }),
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
    expect(await judge(database, stories.flatMap(whole))).toBeNull();
  });

  test('whose requests stand between each other holds', async () => {
    const [one, two] = [whole(await tellStory(database)), whole(await tellStory(database))];
    expect(
      await judge(
        database,
        one.flatMap((step, at) => [step, two[at] ?? step]),
      ),
    ).toBeNull();
  });

  test.each(['denied', 'expired', 'cancelled', 'failed'])(
    'of a request that ended %s holds',
    async (outcome) => {
      const story = await tellStory(database);
      change(story, 'ended', { outcome });
      const steps = order(story, { drop: ['rechecked', 'minted', 'consumed', 'traded', 'performed'] });
      expect(await judge(database, steps)).toBeNull();
    },
  );

  test('of a request that its agent cancelled holds, also when a capability was minted beside it', async () => {
    const story = await tellStory(database);
    const drop: StepName[] = ['rechecked', 'minted', 'consumed', 'traded', 'performed', 'ended'];
    expect(await judge(database, order(story, { drop, end: [cancelOf(story)] }))).toBeNull();
    const late = [cancelOf(story), stepOf(story, 'minted')];
    expect(await judge(database, order(story, { drop, end: late }))).toBeNull();
  });

  test('of an attempt whose outcome is unknown holds, also when it becomes known after the end', async () => {
    const story = await tellStory(database);
    change(story, 'performed', { outcome: 'unknown' });
    change(story, 'ended', { outcome: 'indeterminate' });
    expect(await judge(database, whole(story))).toBeNull();
    const late = await tellStory(database);
    change(late, 'ended', { outcome: 'cancelled' });
    const steps = order(late, { drop: ['performed'], end: [stepOf(late, 'performed')] });
    expect(await judge(database, steps)).toBeNull();
  });

  test('of a refused attempt and a second one at the next fence holds', async () => {
    const story = await tellStory(database);
    change(story, 'performed', { outcome: 'refused' });
    const second = again(story, { fence: 2, outcome: 'applied' });
    expect(await judge(database, order(story, { before: ['ended', second] }))).toBeNull();
  });

  test('of a read that needs no person holds', async () => {
    const story = await tellStory(database);
    for (const name of ['submitted', 'decided', 'rechecked'] as const)
      change(story, name, { decision: 'allow', quorum: 0, groups: [] });
    for (const name of ['requested', 'consumed'] as const) change(story, name, { effectClass: 'read' });
    change(story, 'consumed', { votes: [], quorum: 0 });
    expect(await judge(database, order(story, { drop: ['asked', 'voted'] }))).toBeNull();
  });

  test('of a request that was planned, asked and approved anew holds', async () => {
    const [story, replanned] = [await tellStory(database), await tellStory(database)];
    const asked = ['planned', 'decided', 'asked'].map((name) => stepOf(story, name as StepName)); // Names of steps.
    const earlier = asked.map(({ author, facts }) => ({
      author,
      facts: { ...facts, ...(facts.digest === undefined ? {} : { digest: other }), planHash: other },
    }));
    expect(replanned.requestId).not.toBe(story.requestId);
    expect(await judge(database, order(story, { before: ['planned', earlier] }))).toBeNull();
  });
});

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
      [...requestRules, ...powerRules, ...effectRules]
        .map(({ name }) => name)
        .filter((name) => !covered.has(name)),
    ).toEqual([]);
  });
});
