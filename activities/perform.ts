import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { ActionEffect, EffectResult } from '../src/action/define.ts';
import { digestOf, parseContent, targetNameOf } from '../src/action/request.ts';
import { type Addresses, type Caller, callPath } from '../src/call/call.ts';
import type { CallReply } from '../src/call/table.ts';
import { canonicalDigest } from '../src/canonical.ts';
import type { Crash } from '../src/crash-point.ts';
import type { Database } from '../src/database/pool.ts';
import { requestFacts } from '../src/database/request-facts.ts';
import { findRequest, type RequestRow } from '../src/database/requests.ts';
import type { Claims } from '../src/identity/claims.ts';
import { createProof } from '../src/identity/dpop.ts';
import { createPossessionKey, importPrivate, type SigningKey } from '../src/identity/keys.ts';
import type { TrustedKeys } from '../src/identity/manifest.ts';
import { sealResult } from '../src/identity/result-envelope.ts';
import { sign } from '../src/identity/verify.ts';
import type { EntryWriter } from '../src/ledger/entry.ts';
import { codeOf, Refusal } from '../src/refusal.ts';
import { currentEnvelope } from '../src/temporal/context.ts';
import { requireContext } from './context.ts';
import { asFailure } from './failure.ts';
import type { RequestReference } from './steps.ts';

/**
 * One attempt, whole: plan again, mint, consume, trade, act, record. Never retried by Temporal; what happened is
 * asked of the gate afterwards, because whoever may write to the namespace can forge what this returns.
 */
export type PerformActivities = { perform(reference: RequestReference): Promise<void> };

export type Executor = {
  caller: Caller;
  addresses: Addresses;
  database: Database;
  keys: TrustedKeys;
  effects: ReadonlyMap<string, ActionEffect>;
  /** The executor's own login at a target: it may call one function there and nothing else. */
  targetUrl(target: string): string;
  contextKey: Uint8Array;
  resultKey: Uint8Array;
  /** Signs outcomes. */
  outcomeKey: SigningKey;
  writeEntry: EntryWriter;
  crash: Crash;
  clock: () => number;
};

/** An answer that was lost is asked for again while the receipt may live: the same attempt gets the same answer. */
const ASK_TRIES_MAX = 16;
const ASK_PAUSE_MS = 500;
/** An outcome that is not recorded makes the request indeterminate: try for a while. */
const RECORD_TRIES_MAX = 20;
const RECORD_PAUSE_MS = 1_000;

export function createPerformActivities(own: Executor): PerformActivities {
  return {
    async perform({ requestId }) {
      try {
        await attempt(own, await findRequest(own.database, requestId));
      } catch (error) {
        throw asFailure(error);
      }
    },
  };
}

async function attempt(own: Executor, row: RequestRow): Promise<void> {
  const consumed = await consume(own, row).catch(async (error: unknown) => {
    await recordRefusal(own, row, error);
    throw error;
  });
  own.crash('executor:consumed');
  const outcome = await act(own, consumed);
  own.crash('executor:performed');
  await record(own, consumed, outcome);
  own.crash('executor:recorded');
  if (outcome.kind !== 'applied') throw outcome.refusal;
}

/** What one attempt holds after the point of no return. */
type Consumed = {
  row: RequestRow;
  effect: ActionEffect;
  plan: CallReply<'planner', 'plan'>['body'];
  capability: string;
  digest: string;
  used: CallReply<'gate', 'consume'>;
  prove: (url: string) => Promise<string>;
};

async function consume(own: Executor, row: RequestRow): Promise<Consumed> {
  const { requestId, revision } = { requestId: row.id, revision: row.revision };
  const envelope = currentEnvelope();
  await requireContext(envelope, row, { ...own, nowS: nowS(own) });
  const effect = own.effects.get(row.action);
  if (effect === undefined)
    throw new Refusal('UNKNOWN_ACTION', `no effect of ${row.action} is installed here`);
  const [planned, key] = await Promise.all([
    own.caller.call('planner', 'plan', { requestId, revision }),
    createPossessionKey(),
    // Who is needed after the point of no return has to be there before it: a receipt does not outlive an outage.
    own.caller.call('credentials', 'ready', {}),
  ]);
  const { capability, digest } = await own.caller.call('broker', 'mint', {
    requestId,
    revision,
    context: envelope ?? '',
    planStatement: planned.statement,
    attemptKey: key.publicJwk,
  });
  const privateKey = importPrivate(key.privateJwk);
  const prove = async (url: string) =>
    await createProof(privateKey, key.publicJwk, {
      method: 'POST',
      url,
      accessToken: capability,
      nowS: nowS(own),
    });
  const used = await untilAnswered(async () => {
    const proof = await prove(`${own.addresses.gate}${callPath('consume')}`);
    const asked = { capability, proof, planStatement: planned.statement };
    return await own.caller.call('gate', 'consume', asked);
  });
  return { row, effect, plan: planned.body, capability, digest, used, prove };
}

type Outcome =
  | { kind: 'applied'; result: EffectResult }
  /** The target certainly did nothing. */
  | { kind: 'refused'; refusal: Refusal }
  /** Nobody here can know. */
  | { kind: 'unknown'; refusal: Refusal };

async function act(own: Executor, consumed: Consumed): Promise<Outcome> {
  const { row, effect, plan, digest, used } = consumed;
  let credentialsMac: string;
  try {
    checkPlanned(row, plan, digest);
    credentialsMac = await trade(own, consumed);
  } catch (error) {
    // Without the second half nothing can have been done.
    return { kind: 'refused', refusal: asRefusal(error) };
  }
  try {
    const credential = { statement: used.statement, gateMac: used.gateMac, credentialsMac };
    const url = own.targetUrl(targetNameOf(row));
    return { kind: 'applied', result: await effect.perform(credential, url) };
  } catch (error) {
    const refusal = asRefusal(error);
    return { kind: saysNone(refusal) ? 'refused' : 'unknown', refusal };
  }
}

/** The digest that was minted must be the one of the plan in hand: the credentials service is about to be told so. */
function checkPlanned(row: RequestRow, plan: Consumed['plan'], digest: string): void {
  if (digestOf(parseContent(row.content), canonicalDigest(plan)) !== digest) {
    throw new Refusal('DIGEST_MISMATCH', 'capability is for another plan than the one at hand');
  }
}

async function trade(own: Executor, consumed: Consumed): Promise<string> {
  const { row, plan, capability, used, prove } = consumed;
  const url = `${own.addresses.credentials}${callPath('trade')}`;
  const { credentialsMac } = await untilAnswered(async () => {
    return await own.caller.call('credentials', 'trade', {
      capability,
      proof: await prove(url),
      receipt: used.receipt,
      votes: used.votes,
      content: row.content,
      plan,
      statement: used.statement,
    });
  });
  return credentialsMac;
}

/** Each try carries a proof of its own: a proof is good once. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (codeOf(error) !== 'UNAVAILABLE' || tries === ASK_TRIES_MAX) throw error;
      await delay(ASK_PAUSE_MS);
    }
  }
}

const detailsSchema = z.object({ outcome: z.literal('none') });

function saysNone({ details }: Refusal): boolean {
  return detailsSchema.safeParse(details).success;
}

function asRefusal(error: unknown): Refusal {
  return error instanceof Refusal
    ? error
    : new Refusal('INTERNAL', 'the effect failed in a way that says nothing', { cause: error });
}

/** Signed outcome, its entry and the sealed result in one transaction; tried again while the database is away. */
async function record(own: Executor, consumed: Consumed, outcome: Outcome): Promise<void> {
  const statement = await sign(own.outcomeKey, 'outcome', outcomeOf(own, consumed, outcome));
  const entry = await own.writeEntry(entryOf(consumed, outcome));
  const write = await writeOf(own, consumed, outcome, [statement, entry]);
  for (let tries = 1; ; tries += 1) {
    try {
      await own.database.run(write.text, write.values);
      return;
    } catch (error) {
      if (codeOf(error) !== 'UNAVAILABLE' || tries === RECORD_TRIES_MAX) throw error;
      await delay(RECORD_PAUSE_MS);
    }
  }
}

/** One statement is one transaction, in one round trip. */
async function writeOf(own: Executor, { row }: Consumed, outcome: Outcome, signed: string[]) {
  const text = 'select firebreak.record_outcome($1, $2)';
  if (outcome.kind !== 'applied') return { text, values: signed };
  const envelope = await sealResult(row.id, JSON.stringify(outcome.result), own.resultKey);
  return { text: `${text}, firebreak.store_result($3, $4)`, values: [...signed, row.id, envelope] };
}

const receiptSchema = z.object({ fence: z.int().min(1), capability: z.object({ jti: z.string() }) });

/** Read, not trusted: the target and the credentials service have verified it. */
function receiptOf({ used }: Consumed): z.infer<typeof receiptSchema> {
  const [, payload = ''] = used.receipt.split('.');
  return receiptSchema.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
}

function outcomeOf(own: Executor, consumed: Consumed, outcome: Outcome): Claims<'outcome'> {
  const { row, digest } = consumed;
  return {
    iss: own.outcomeKey.issuer,
    iat: nowS(own),
    jti: randomUUID(),
    requestId: row.id,
    revision: row.revision,
    digest,
    effectKey: row.id,
    fence: receiptOf(consumed).fence,
    outcome: outcome.kind,
    ...(outcome.kind === 'applied' ? {} : { code: outcome.refusal.code }),
    counts: outcome.kind === 'applied' ? outcome.result.counts : {},
  };
}

function entryOf(consumed: Consumed, outcome: Outcome) {
  const { fence, capability } = receiptOf(consumed);
  return {
    kind: 'performed',
    ...requestFacts(consumed.row),
    capability: capability.jti,
    digest: consumed.digest,
    fence,
    outcome: outcome.kind,
    ...(outcome.kind === 'applied'
      ? { counts: outcome.result.counts }
      : { code: outcome.refusal.code, cause: outcome.refusal.message }),
  };
}

/** An attempt that did not get to its consumption; trouble between domains is tried again and leaves no entry. */
async function recordRefusal(own: Executor, row: RequestRow, error: unknown): Promise<void> {
  const code = codeOf(error);
  if (code === 'UNAVAILABLE' || code === 'INTERNAL') return;
  const entry = await own.writeEntry({ kind: 'perform-refused', ...requestFacts(row), code });
  await own.database.run('select firebreak.append_entry($1)', [entry]);
}

function nowS({ clock }: Executor): number {
  return Math.floor(clock() / 1_000);
}
