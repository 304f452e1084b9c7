import type { PlanBody } from '../action/define.ts';
import type { ActionManifest } from '../action/manifest.ts';
import { overshootOf } from '../action/overshoot.ts';
import { digestOf, type RequestContent, targetNameOf } from '../action/request.ts';
import { canonicalDigest, sha256Base64url } from '../canonical.ts';
import type { Claims } from '../identity/claims.ts';
import { floorOf, floorTotal } from '../quorum/floor.ts';
import type { Directory } from '../quorum/requester-chain.ts';
import { tally } from '../quorum/tally.ts';
import type { RefusalCode } from '../refusal.ts';
import { statementText } from './statement.ts';

/**
 * May power be released for this act? The second key of R1: whoever captured the gate, and signs receipts with its
 * key, still needs the broker's capability and the votes. Absence of a no and of a revocation is the receipt's word,
 * for its ten seconds; all else is rebuilt here from what was signed.
 */
export type TradeFacts = {
  capability: Claims<'capability'>;
  receipt: Claims<'receipt'>;
  /** Thumbprint of the key that proved possession just now. */
  proofJkt: string;
  content: RequestContent;
  plan: PlanBody;
  manifest: ActionManifest;
  /** Verified statements of people's votes. */
  votes: readonly Claims<'vote'>[];
  /** What the target will be told, as the gate wrote it. */
  statement: string;
  /** RFC 3339, from the statement. */
  notAfter: string;
  directory: Directory;
  nowS: number;
};

type TradeNo = { code: RefusalCode; message: string };
export type TradeCheck = { name: string; refuse: (facts: TradeFacts) => TradeNo | null };

export function mayTrade(
  facts: TradeFacts,
  checks: readonly TradeCheck[],
): (TradeNo & { check: string }) | null {
  for (const { name, refuse } of checks) {
    const no = refuse(facts);
    if (no !== null) return { ...no, check: name };
  }
  return null;
}

const no = (code: RefusalCode, message: string): TradeNo => ({ code, message });

export const tradeChecks: readonly TradeCheck[] = [
  {
    name: 'possession',
    refuse: ({ capability, receipt, proofJkt }) =>
      capability.cnf.jkt === proofJkt && receipt.cnf.jkt === proofJkt
        ? null
        : no('WRONG_KEY', 'proof is by another key than the attempt’s'),
  },
  {
    name: 'receipt',
    refuse: ({ capability, receipt, content }) => {
      const same =
        receipt.capability.iss === capability.iss &&
        receipt.capability.jti === capability.jti &&
        receipt.requestId === content.requestId &&
        receipt.revision === content.revision &&
        receipt.effectKey === content.requestId &&
        receipt.target === targetNameOf(content);
      return same ? null : no('RECEIPT_INVALID', 'receipt is for another act');
    },
  },
  {
    name: 'digest',
    refuse: ({ capability, receipt, content, plan }) => {
      const planHash = canonicalDigest(plan);
      const digest = digestOf(content, planHash);
      const [detail] = capability.authorization_details;
      const same = capability.planHash === planHash && detail?.digest === digest && receipt.digest === digest;
      return same ? null : no('DIGEST_MISMATCH', 'capability, receipt, request and plan differ');
    },
  },
  {
    name: 'authorization details',
    refuse: ({ capability, content, manifest }) => {
      const [detail] = capability.authorization_details;
      const same =
        capability.aud === targetNameOf(content) &&
        capability.tenant === content.tenant &&
        capability.environment === content.environment &&
        detail?.actions[0] === content.action &&
        detail.identifier === content.resource &&
        manifest.name === content.action &&
        manifest.schemaVersion === content.schemaVersion;
      return same ? null : no('CAPABILITY_INVALID', 'capability names another act than the request');
    },
  },
  {
    name: 'statement',
    refuse: (facts) => {
      const { receipt, content, plan, statement, notAfter, capability, votes } = facts;
      const rebuilt = statementText({
        target: targetNameOf(content),
        digest: receipt.digest,
        effectKey: receipt.effectKey,
        fence: receipt.fence,
        notAfter,
        plan,
      });
      if (rebuilt !== statement || sha256Base64url(statement) !== receipt.statementHash)
        return no('DIGEST_MISMATCH', 'statement is not what request and plan make');
      const endS = Math.min(capability.exp, ...votes.map((vote) => vote.notAfter));
      return Date.parse(notAfter) <= endS * 1_000
        ? null
        : no('APPROVAL_EXPIRED', 'statement lives longer than its capability or its votes');
    },
  },
  {
    name: 'effect class',
    refuse: ({ manifest, plan }) =>
      floorOf(manifest.effectClass, overshootOf(manifest, plan).length).personal === 0
        ? null
        : no('STEP_UP_UNAVAILABLE', `a ${manifest.effectClass} action needs personal votes`),
  },
  {
    name: 'floor',
    refuse: ({ content, receipt, capability, manifest, plan, votes, directory, nowS }) => {
      const counted = tally({
        votes,
        request: {
          requestId: content.requestId,
          revision: content.revision,
          digest: receipt.digest,
          agent: capability.client_id,
          sub: content.sub,
          act: content.act,
        },
        quorum: floorTotal(floorOf(manifest.effectClass, overshootOf(manifest, plan).length)),
        // Which groups are asked is policy's business, and the gate's; here a voter must be somebody's member at all.
        groups: directory.groups.map(({ id }) => id),
        policyDigest: capability.policyDigest,
        settings: directory,
        nowS,
      });
      switch (counted.kind) {
        case 'approved':
          return null;
        case 'denied':
          return no('DENIED', `denied by ${counted.by}`);
        case 'open':
          return no('APPROVAL_MISSING', `expected ${counted.needed} votes that count, got ${counted.have}`);
      }
    },
  },
];
