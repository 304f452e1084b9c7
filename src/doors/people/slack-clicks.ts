import { z } from 'zod';
import { findRequest } from '../../database/requests.ts';
import type { Choice } from '../../quorum/electorate.ts';
import { Refusal } from '../../refusal.ts';
import type { PeopleDoor } from './door.ts';
import { cardOf, findAskedPlan, readJudged } from './judged.ts';
import { fitsSlack } from './slack-blocks.ts';
import { type Answer, castVote, checkVote, recordingRefusals } from './vote.ts';

/**
 * From a click that Slack signed to an answer: the button's value only finds the ask; digest, channel and message must
 * be those of the card that this door itself has posted (a forged or copied card answers nothing).
 */
export type Click = {
  team: string;
  user: string;
  /** The team of the user, which differs for people of another workspace. */
  userTeam: string | undefined;
  channel: string;
  message: string;
  value: string;
};

export async function answerByClick(
  door: PeopleDoor,
  click: Click,
  said: { choice: Choice; reason?: string },
): Promise<void> {
  const asked = await findAsked(door, click);
  const answer = answerOf(door, click, { ...asked, ...said });
  await recordingRefusals(door, answer, async () => await refuseCard(door, asked, said.choice));
  await castVote(door, answer);
}

/** Whether this person's no would count, before a reason is asked for. */
export async function checkDeny(door: PeopleDoor, click: Click): Promise<void> {
  const asked = await findAsked(door, click);
  const answer = answerOf(door, click, { ...asked, choice: 'deny' });
  await recordingRefusals(door, answer, async () => await refuseCard(door, asked, 'deny'));
  await checkVote(door, answer);
}

const askedSchema = z.object({
  request_id: z.string(),
  revision: z.int(),
  digest: z.string(),
  plan_hash: z.string(),
  quorum: z.int(),
  groups: z.array(z.string()),
  expires_at: z.date(),
  channel: z.string(),
  message: z.string().nullable(),
  newest: z.boolean(),
});
type Asked = z.infer<typeof askedSchema>;

/** A click may be faster than the record of the message that was clicked: tries, and the pause between them. */
const RECORD_TRIES_MAX = 10;
const RECORD_PAUSE_MS = 100;

async function findAsked(door: PeopleDoor, click: Click): Promise<Asked> {
  const { askId, digest } = parseValue(click.value);
  for (let tries = 1; ; tries += 1) {
    const asked = await readAsked(door, askId);
    if (asked.message !== null || tries === RECORD_TRIES_MAX) return checkCard(asked, { ...click, digest });
    await new Promise((resolve) => setTimeout(resolve, RECORD_PAUSE_MS));
  }
}

function parseValue(value: string): { askId: string; digest: string } {
  const match = /^(\d{1,18})\.([A-Za-z0-9_-]{43})$/.exec(value);
  const [, askId, digest] = match ?? [];
  if (askId === undefined || digest === undefined) throw notOurs();
  return { askId, digest };
}

async function readAsked({ database }: PeopleDoor, askId: string): Promise<Asked> {
  const [asked] = await database.rows(
    askedSchema,
    `select a.request_id, a.revision, a.digest, a.plan_hash, a.quorum, a.groups, a.expires_at, n.channel, n.message,
       a.id = (select max(b.id) from firebreak.ask b where b.request_id = a.request_id) as newest
     from firebreak.ask a join firebreak.notice n on n.ask_id = a.id and n.surface = 'slack'
     where a.id = $1`,
    [askId],
  );
  if (asked === undefined) throw notOurs();
  return asked;
}

function checkCard(asked: Asked, click: Click & { digest: string }): Asked {
  const isCard =
    asked.digest === click.digest && asked.channel === click.channel && asked.message === click.message;
  if (!isCard) throw notOurs();
  return asked;
}

function notOurs(): Refusal {
  return new Refusal('VOTE_STALE', 'this is not the card that was posted for this request');
}

/** Ours, and yet no card for this answer. */
async function refuseCard(door: PeopleDoor, asked: Asked, choice: Choice): Promise<void> {
  if (!asked.newest) {
    throw new Refusal('VOTE_STALE', 'request has changed since this card; answer the newest one');
  }
  if (choice === 'approve') await refuseUnshown(door, asked);
}

/** A card that did not fit has no Approve button; a click on one was made elsewhere. */
async function refuseUnshown(door: PeopleDoor, asked: Asked): Promise<void> {
  const row = await findRequest(door.database, asked.request_id);
  const { revision, plan_hash: planHash } = asked;
  const plan = await findAskedPlan(door.database, { requestId: row.id, revision, planHash });
  const card = cardOf(door, readJudged(door, row, plan), { ...asked, expiresAt: asked.expires_at });
  if (!fitsSlack(card)) {
    throw new Refusal(
      'STEP_UP_UNAVAILABLE',
      'this request does not fit on a card and cannot be approved on one',
    );
  }
}

type Said = Asked & { choice: Choice; reason?: string };

function answerOf(door: PeopleDoor, click: Click, said: Said): Answer {
  const { team, user, channel, message } = click;
  return {
    requestId: said.request_id,
    revision: said.revision,
    digest: said.digest,
    person: personOf(door, click),
    choice: said.choice,
    ...(said.reason === undefined ? {} : { reason: said.reason }),
    surface: { team, user, channel, message },
  };
}

/** Exactly one account a person, in our own workspace; a guest of a shared channel is nobody here. */
function personOf({ settings }: PeopleDoor, { team, user, userTeam }: Click): string | undefined {
  if (team !== settings.slack.team || (userTeam !== undefined && userTeam !== team)) return undefined;
  return settings.people.find(({ slack }) => slack === `${team}/${user}`)?.id;
}
