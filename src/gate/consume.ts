import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { overshootOf } from '../action/overshoot.ts';
import { digestOf, targetNameOf } from '../action/request.ts';
import { callPath } from '../call/call.ts';
import type { CallBody, CallReply } from '../call/table.ts';
import { sha256Base64url } from '../canonical.ts';
import { audienceOf } from '../capability/audience.ts';
import { macOf } from '../capability/mac.ts';
import { mayConsume, quorumOf } from '../capability/may-consume.ts';
import { statementText } from '../capability/statement.ts';
import { type Database, uniqueViolationOf } from '../database/pool.ts';
import { rememberProof } from '../database/proofs.ts';
import { requestFacts } from '../database/request-facts.ts';
import { type Claims, kinds, RECEIPT_LIFETIME_S } from '../identity/claims.ts';
import { verifyProof } from '../identity/dpop.ts';
import { sign, verify } from '../identity/verify.ts';
import type { EntryFacts } from '../ledger/entry.ts';
import { codeOf, Refusal, refusals } from '../refusal.ts';
import { type Loaded, loadFacts } from './facts.ts';
import type { Gate } from './gate.ts';
import { readStored, type Stored } from './stored.ts';

/**
 * The point of no return. One transaction: the authority row first, then the facts, then `mayConsume`, then the use;
 * the receipt is signed only after the commit. The same attempt asking again gets the same receipt until it expires.
 */
type Body = CallBody<'gate', 'consume'>;
type Reply = CallReply<'gate', 'consume'>;

/** There are no signed *not applied* statements yet, so there is one fence. */
const FENCE = 1;

export function createConsume(gate: Gate): (body: Body) => Promise<Reply> {
  return async (body) => {
    const capability = await verify('capability', body.capability, {
      keys: gate.keys,
      nowS: nowS(gate),
      audience: audienceOf(body.capability),
      code: 'CAPABILITY_INVALID',
      expiredCode: 'CAPABILITY_EXPIRED',
    });
    const proof = await verifyProof(body.proof, {
      method: 'POST',
      url: `${gate.address}${callPath('consume')}`,
      accessToken: body.capability,
      nowS: nowS(gate),
    });
    await rememberProof(gate.database, proof);
    try {
      const asked = { capability, proofJkt: proof.jkt, planStatement: body.planStatement };
      const used = await gate.database.transaction(async (tx) => await consumeOnce(gate, tx, asked));
      gate.crash('gate:consumed');
      return { ...used, receipt: await sign(gate.receiptKey, 'receipt', used.receipt) };
    } catch (error) {
      await recordRefusal(gate, capability, error);
      throw error;
    }
  };
}

function nowS({ clock }: Gate): number {
  return Math.floor(clock() / 1_000);
}

type Asked = { capability: Claims<'capability'>; proofJkt: string; planStatement: string };
type Used = Omit<Reply, 'receipt'> & { receipt: Claims<'receipt'> };

async function consumeOnce(gate: Gate, tx: Database, asked: Asked): Promise<Used> {
  const version = await lock(tx, asked.capability);
  const stored = await readStored(tx, asked.capability);
  if (stored.before !== null) return repeat(gate, stored.before, asked);
  const loaded = await loadFacts(gate, stored, asked);
  const now = { gateMs: gate.clock(), databaseMs: loaded.databaseMs };
  const no = mayConsume(loaded.facts, now, gate.checks);
  if (no !== null) throw new Refusal(no.code, no.message, { details: { check: no.check } });
  const used = useOf(gate, loaded);
  await store(gate, tx, { loaded, used, version });
  return used;
}

const versionSchema = z.object({ version: z.string() });

/**
 * Both locks are held until commit, and everything is read by later statements, whose snapshots are younger. The second
 * one is of tenant and environment: two consumptions side by side must not both be the last one of the budget.
 */
async function lock(tx: Database, { tenant, environment }: Claims<'capability'>): Promise<string> {
  const [authority] = await tx.rows(
    versionSchema,
    `select firebreak.lock_authority()::text as version,
       pg_advisory_xact_lock(hashtextextended('relayed ' || $1 || ' ' || $2, 0))`,
    [tenant, environment],
  );
  return authority?.version ?? '';
}

/** An answer that was lost may be asked for again, by the same attempt, while its receipt is good. */
function repeat(gate: Gate, before: NonNullable<Stored['before']>, { proofJkt }: Asked): Used {
  if (before.settled)
    throw new Refusal('CAPABILITY_SPENT', 'capability was already used, and its act has ended');
  if (before.jkt !== proofJkt) throw new Refusal('WRONG_KEY', 'capability was used by another key');
  const receipt = kinds.receipt.claims.parse(before.receipt);
  if (receipt.exp <= nowS(gate)) {
    throw new Refusal('RECEIPT_EXPIRED', 'capability was used and its receipt has expired');
  }
  const gateMac = macOf(before.statement, gate.targetKey(receipt.target));
  return { receipt, statement: before.statement, gateMac, votes: before.votes };
}

function useOf(gate: Gate, { facts, plan, voteStatements, databaseMs }: Loaded): Used {
  const { capability, content, approvedPlan } = facts;
  const target = targetNameOf(content);
  const digest = digestOf(content, approvedPlan.planHash);
  const statement = statementText({
    target,
    digest,
    effectKey: content.requestId,
    fence: FENCE,
    notAfter: notAfterOf(facts),
    plan,
  });
  const iat = Math.floor(databaseMs / 1_000);
  const receipt: Claims<'receipt'> = {
    iss: gate.receiptKey.issuer,
    iat,
    exp: iat + RECEIPT_LIFETIME_S,
    jti: randomUUID(),
    aud: 'credentials',
    requestId: content.requestId,
    revision: content.revision,
    capability: { iss: capability.iss, jti: capability.jti },
    cnf: capability.cnf,
    digest,
    effectKey: content.requestId,
    fence: FENCE,
    target,
    statementHash: sha256Base64url(statement),
  };
  return { receipt, statement, gateMac: macOf(statement, gate.targetKey(target)), votes: voteStatements };
}

/** When the act must have begun: while the capability lives and every vote still counts. */
function notAfterOf({ capability, votes }: Loaded['facts']): string {
  return new Date(Math.min(capability.exp, ...votes.map((vote) => vote.notAfter)) * 1_000).toISOString();
}

type Use = { loaded: Loaded; used: Used; version: string };

async function store(gate: Gate, tx: Database, { loaded, used, version }: Use): Promise<void> {
  const { capability } = loaded.facts;
  const { receipt, statement } = used;
  const row = {
    iss: capability.iss,
    jti: capability.jti,
    effectKey: receipt.effectKey,
    fence: receipt.fence,
    digest: receipt.digest,
    jkt: capability.cnf.jkt,
    statement,
    votes: used.votes,
    receipt,
    receiptExp: new Date(receipt.exp * 1_000).toISOString(),
    notAfter: notAfterOf(loaded.facts),
  };
  const entry = await gate.writeEntry({ kind: 'consumed', ...consumedFacts(loaded, used) });
  try {
    await tx.run('select firebreak.consume($1, $2, $3)', [row, version, entry]);
  } catch (error) {
    const violated = uniqueViolationOf(error);
    if (violated === undefined) throw error;
    throw new Refusal('EFFECT_EXISTS', 'this request has used up a capability before', { cause: error });
  }
}

function consumedFacts({ facts, row }: Loaded, { receipt, votes }: Used): Omit<EntryFacts, 'kind'> {
  const { capability, manifest, policy, approvedBody } = facts;
  return {
    ...requestFacts(row),
    actor: capability.sub,
    capability: capability.jti,
    digest: receipt.digest,
    planHash: capability.planHash,
    fence: receipt.fence,
    effectClass: manifest.effectClass,
    quorum: quorumOf(facts),
    overshoot: overshootOf(manifest, approvedBody).length,
    groups: policy.groups,
    policyDigest: policy.policyDigest,
    rules: policy.rules,
    votes,
  };
}

/** A no to a capability that the broker did sign leaves a trace; trouble below it does not. */
async function recordRefusal(gate: Gate, capability: Claims<'capability'>, error: unknown): Promise<void> {
  const code = codeOf(error);
  if (refusals[code].status >= 500) return;
  const [detail] = capability.authorization_details;
  if (detail === undefined) return;
  const entry = await gate.writeEntry({
    kind: 'consume-refused',
    actor: capability.sub,
    subject: capability.client_id,
    session: capability.sid,
    tenant: capability.tenant,
    environment: capability.environment,
    requestId: detail.requestId,
    revision: detail.revision,
    digest: detail.digest,
    capability: capability.jti,
    code,
    traceId: capability.txn,
  });
  await gate.database.run('select firebreak.append_entry($1)', [entry]);
}
