import { App, type Receiver } from '@slack/bolt';
import { z } from 'zod';
import { codeOf, Refusal } from '../../refusal.ts';
import { DENY_VIEW, denyView, parseCarried, reasonOf } from './deny-view.ts';
import type { PeopleDoor } from './door.ts';
import { APPROVE, DENY } from './slack-blocks.ts';
import { answerByClick, type Click, checkDeny } from './slack-clicks.ts';
import { type SlackClient, slackLogger } from './slack-client.ts';

/**
 * Slack's interactions, through Bolt. A vote is durable and signed before Slack hears of the click; every click that
 * does not count is answered to the one who clicked, with sentence and code, never with silence.
 */
export type SlackApp = {
  /** @param payload what Slack signed. Resolves with the answer for Slack, in time for its three seconds. */
  handle(payload: Record<string, unknown>): Promise<unknown>;
  /** Resolves when what was acknowledged is done. */
  close(): Promise<void>;
};

type Parts = { door: PeopleDoor; slack: SlackClient };

/** Slack gives up after three seconds; what takes longer goes on behind the acknowledgement. */
const ACKNOWLEDGE_MAX_MS = 2_500;

export function createSlackApp(parts: Parts, token: string): SlackApp {
  const app = new App({
    receiver: receiver(),
    // Without `authorize` Bolt would ask Slack who it is at every start, and fail where Slack is away.
    authorize: async () => ({ botToken: token }),
    convoStore: false,
    logger: slackLogger(parts.door.log),
  });
  app.action(APPROVE, async ({ body, ack }) => {
    const click = parseClick(body);
    await answering(
      parts,
      { click, ack },
      async () => await answerByClick(parts.door, click, { choice: 'approve' }),
    );
  });
  app.action(DENY, async ({ body, ack }) => {
    const { trigger_id, ...click } = parseClick(body);
    await answering(parts, { click, ack }, async () => await askReason(parts, click, trigger_id));
  });
  app.view(DENY_VIEW, async ({ body, ack }) => {
    const { click, words } = parseSubmission(body);
    await answering(parts, { click, ack }, async () => {
      const reason = reasonOf(words);
      await answerByClick(parts.door, click, { choice: 'deny', ...(reason === undefined ? {} : { reason }) });
    });
  });
  return handlerOf(parts.door, app);
}

/** Bolt wants a receiver; ours is the route of the people's door, which verifies signatures more strictly. */
function receiver(): Receiver {
  return { init: () => undefined, start: async () => undefined, stop: async () => undefined };
}

function handlerOf({ log }: PeopleDoor, app: App): SlackApp {
  const running = new Set<Promise<void>>();
  return {
    async handle(payload) {
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const work = app.processEvent({ body: payload, ack: async (answer) => resolve(answer) }).then(
        () => reject(new Refusal('UNKNOWN_ROUTE', 'nothing here answers this interaction')),
        (error: unknown) => {
          log.warn({ err: error }, 'interaction was not understood');
          reject(
            new Refusal('INVALID_INPUT', 'expected an interaction with one of our cards', { cause: error }),
          );
        },
      );
      running.add(work);
      void work.finally(() => running.delete(work));
      return await promise;
    },
    async close() {
      await Promise.allSettled(running);
    },
  };
}

type Interaction = { click: Click; ack: () => Promise<void> };

/** Work first, then the acknowledgement, then the person: unless the work takes too long to wait for. */
async function answering(
  parts: Parts,
  { click, ack }: Interaction,
  work: () => Promise<void>,
): Promise<void> {
  const outcome = work().then(
    () => null,
    (error: unknown) => ({ error }),
  );
  await Promise.race([outcome, pause(ACKNOWLEDGE_MAX_MS)]);
  await ack();
  const failed = await outcome;
  if (failed !== null) await tellFailure(parts, click, failed.error);
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

async function tellFailure({ door, slack }: Parts, click: Click, error: unknown): Promise<void> {
  const code = codeOf(error);
  const { channel, user } = click;
  if (code === 'INTERNAL' || code === 'UNAVAILABLE') door.log.error({ err: error }, 'click was not counted');
  else door.log.info({ code, user }, 'click was refused');
  try {
    await slack.tell({ channel, user }, sentenceOf(error));
  } catch (cause) {
    door.log.warn({ err: cause, code, user }, 'refused click was not answered');
  }
}

function sentenceOf(error: unknown): string {
  const code = codeOf(error);
  return error instanceof Refusal && code !== 'INTERNAL' && code !== 'UNAVAILABLE'
    ? `✋ Not counted: ${error.message} (${code}).`
    : `✋ This could not be counted now (${code}). If the card does not show your answer, click again.`;
}

/** Where no window opens, a no without a reason is still a no. */
async function askReason({ door, slack }: Parts, click: Click, triggerId: string): Promise<void> {
  await checkDeny(door, click);
  const { value, channel, message } = click;
  try {
    await slack.openView(triggerId, denyView({ value, channel, message }));
  } catch (error) {
    door.log.warn({ err: error }, 'window for a reason does not open; denied without one');
    await answerByClick(door, click, { choice: 'deny' });
  }
}

const idSchema = z.string().min(1).max(64);
const userSchema = z.object({ id: idSchema, team_id: idSchema.optional() });
const teamSchema = z.object({ id: idSchema });

const clickSchema = z.object({
  type: z.literal('block_actions'),
  team: teamSchema,
  user: userSchema,
  channel: z.object({ id: idSchema }),
  message: z.object({ ts: idSchema }),
  trigger_id: z.string().max(256),
  actions: z.tuple([z.object({ value: z.string().max(256) })]),
});

function parseClick(body: unknown): Click & { trigger_id: string } {
  const { team, user, channel, message, trigger_id, actions } = clickSchema.parse(body);
  return {
    team: team.id,
    user: user.id,
    userTeam: user.team_id,
    channel: channel.id,
    message: message.ts,
    value: actions[0].value,
    trigger_id,
  };
}

const submissionSchema = z.object({
  type: z.literal('view_submission'),
  team: teamSchema,
  user: userSchema,
  view: z.object({
    private_metadata: z.string().max(3_000),
    state: z.object({
      values: z.object({
        preset: z.object({
          preset: z.object({ selected_option: z.object({ value: z.string() }).nullish() }),
        }),
        words: z.object({ words: z.object({ value: z.string().nullish() }) }),
      }),
    }),
  }),
});

function parseSubmission(body: unknown) {
  const { team, user, view } = submissionSchema.parse(body);
  const { preset, words } = view.state.values;
  const click: Click = {
    team: team.id,
    user: user.id,
    userTeam: user.team_id,
    ...parseCarried(view.private_metadata),
  };
  return {
    click,
    words: { preset: preset.preset.selected_option?.value ?? null, words: words.words.value ?? null },
  };
}
