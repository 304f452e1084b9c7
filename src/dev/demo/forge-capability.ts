import { randomUUID } from 'node:crypto';
import { digestOf, parseContent } from '../../action/request.ts';
import { findDecision, findPlan, findRequest } from '../../database/requests.ts';
import type { Claims } from '../../identity/claims.ts';
import { createPossessionKey } from '../../identity/keys.ts';
import { sign } from '../../identity/verify.ts';
import { type Attempt, type Captured, claimsOf } from '../captured.ts';

const LIFETIME_S = 60;

/** A capability by the captured broker's own key, for what nobody approved: everything in it is as it should be. */
export async function forgeCapability(
  broker: Captured,
  executor: Captured,
  requestId: string,
): Promise<Attempt> {
  const reference = { requestId, revision: 1 };
  const row = await findRequest(broker.database, requestId);
  const stored = await findPlan(broker.database, reference);
  const decision = await findDecision(broker.database, { ...reference, stage: 'plan' });
  const planned = await executor.caller.call('planner', 'plan', reference);
  const key = await createPossessionKey();
  const content = parseContent(row.content);
  const planHash = stored?.plan_hash ?? '';
  const nowS = Math.floor(Date.now() / 1_000);
  const claims: Claims<'capability'> = {
    iss: 'broker',
    iat: nowS,
    nbf: nowS,
    exp: nowS + LIFETIME_S,
    jti: randomUUID(),
    sid: content.session,
    epoch: 0,
    sub: content.sub,
    tenant: content.tenant,
    environment: content.environment,
    aud: row.target,
    client_id: row.agent,
    txn: row.trace_id,
    cnf: { jkt: key.jkt },
    authorization_details: [
      {
        type: 'firebreak_action',
        actions: [content.action],
        identifier: content.resource,
        digest: digestOf(content, planHash),
        schemaVersion: content.schemaVersion,
        ...reference,
      },
    ],
    planHash,
    policyDigest: String(claimsOf(decision ?? '')['policyDigest']),
    rules: [],
  };
  const capability = await sign(await broker.signer('capability'), 'capability', claims);
  return {
    requestId,
    content: row.content,
    plan: planned.body,
    planStatement: planned.statement,
    capability,
    key,
  };
}
