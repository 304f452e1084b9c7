import { z } from 'zod';
import type { ActionManifests } from '../action/manifest.ts';
import { parseContent } from '../action/request.ts';
import { callPath } from '../call/call.ts';
import type { CallBody, CallReply } from '../call/table.ts';
import { audienceOf } from '../capability/audience.ts';
import { macOf } from '../capability/mac.ts';
import { mayTrade, type TradeCheck, type TradeFacts } from '../capability/may-trade.ts';
import type { Database } from '../database/pool.ts';
import { verifyProof } from '../identity/dpop.ts';
import type { TrustedKeys } from '../identity/manifest.ts';
import { verify } from '../identity/verify.ts';
import type { EntryWriter } from '../ledger/entry.ts';
import { codeOf, Refusal, refusals } from '../refusal.ts';
import type { Settings } from '../settings.ts';

/**
 * Trades a capability with its receipt and its votes for the second half of a target's power. It believes neither
 * broker nor gate alone, decides nothing and reaches no target.
 */
export type Credentials = {
  /** This service's own database: what was traded. */
  own: Database;
  /** The common database, for entries alone. */
  database: Database;
  keys: TrustedKeys;
  settings: Settings;
  manifests: ActionManifests;
  checks: readonly TradeCheck[];
  /** This service's half of a target's power; throws where it holds none. */
  targetKey(target: string): Uint8Array;
  writeEntry: EntryWriter;
  clock: () => number;
  address: string;
};

type Body = CallBody<'credentials', 'trade'>;

export function createTrade(
  service: Credentials,
): (body: Body) => Promise<CallReply<'credentials', 'trade'>> {
  return async (body) => {
    const facts = await readFacts(service, body);
    const no = mayTrade(facts, service.checks);
    if (no !== null) {
      const refusal = new Refusal(no.code, no.message, { details: { check: no.check } });
      await recordRefusal(service, facts, refusal);
      throw refusal;
    }
    // Its own unique row first: whatever the rest of Firebreak forgets, nothing is traded twice for another act.
    try {
      await service.own.run('select credentials.record_trade($1, $2, $3, $4, $5)', [
        facts.capability.iss,
        facts.capability.jti,
        facts.receipt.effectKey,
        facts.receipt.fence,
        facts.receipt.statementHash,
      ]);
    } catch (error) {
      await recordRefusal(service, facts, error);
      throw error;
    }
    await append(service, facts, {});
    return { credentialsMac: macOf(body.statement, service.targetKey(facts.receipt.target)) };
  };
}

const timeSchema = z.object({ notAfter: z.iso.datetime({ precision: 3 }) });

async function readFacts(service: Credentials, body: Body): Promise<TradeFacts> {
  const nowS = Math.floor(service.clock() / 1_000);
  const trust = { keys: service.keys, nowS };
  const capability = await verify('capability', body.capability, {
    ...trust,
    audience: audienceOf(body.capability),
    code: 'CAPABILITY_INVALID',
    expiredCode: 'CAPABILITY_EXPIRED',
  });
  const receipt = await verify('receipt', body.receipt, {
    ...trust,
    audience: 'credentials',
    code: 'RECEIPT_INVALID',
    expiredCode: 'RECEIPT_EXPIRED',
  });
  const proof = await verifyProof(body.proof, {
    method: 'POST',
    url: `${service.address}${callPath('trade')}`,
    accessToken: body.capability,
    nowS,
  });
  const votes = await Promise.all(
    body.votes.map(async (vote) => await verify('vote', vote, { ...trust, code: 'APPROVAL_MISSING' })),
  );
  const { content, notAfter } = readTexts(body);
  return {
    capability,
    receipt,
    proofJkt: proof.jkt,
    content,
    plan: body.plan,
    manifest: service.manifests.find(content.action),
    votes,
    statement: body.statement,
    notAfter,
    directory: service.settings,
    nowS,
  };
}

function readTexts({ content, statement }: Body) {
  try {
    const { notAfter } = timeSchema.parse(JSON.parse(statement));
    return { content: parseContent(content), notAfter };
  } catch (cause) {
    throw new Refusal('DIGEST_MISMATCH', 'request or statement has another form than its digest covers', {
      cause,
    });
  }
}

async function recordRefusal(service: Credentials, facts: TradeFacts, error: unknown): Promise<void> {
  const code = codeOf(error);
  if (refusals[code].status < 500) await append(service, facts, { code });
}

async function append(service: Credentials, facts: TradeFacts, refused: { code?: string }): Promise<void> {
  const { capability, receipt, content } = facts;
  const entry = await service.writeEntry({
    kind: refused.code === undefined ? 'traded' : 'trade-refused',
    actor: capability.sub,
    subject: capability.client_id,
    session: capability.sid,
    tenant: content.tenant,
    environment: content.environment,
    action: content.action,
    resource: content.resource,
    requestId: content.requestId,
    revision: content.revision,
    capability: capability.jti,
    digest: receipt.digest,
    fence: receipt.fence,
    traceId: capability.txn,
    ...refused,
  });
  await service.database.run('select firebreak.append_entry($1)', [entry]);
}
