import { finalEnds } from './history.ts';
import { type Rule, rule, ruleOfOpen } from './rule.ts';

/** S2 to S7 and S10: what must stand before an entry, once, and about the very same thing. */
const afterRequest = [
  'decided',
  'planned',
  'asked',
  'voted',
  'capability-minted',
  'consumed',
  'traded',
  'performed',
  'ended',
  'cancelled',
] as const;

export const requestRules: readonly Rule[] = [
  rule({ invariant: 'S4', name: 'a request first' }, afterRequest, ({ kind, requestId }, { request }) =>
    request === undefined ? `${kind} of ${requestId}, which nobody requested before` : null,
  ),
  rule({ invariant: 'S4', name: 'requested once' }, ['requested'], ({ requestId, revision }, { request }) => {
    if (request === undefined) return null;
    if (request.kind === 'closed') return `${requestId} is requested again after it was ${request.end}`;
    return request.facts.revision < revision ? null : `${requestId} is requested again as ${revision}`;
  }),
  ruleOfOpen({ invariant: 'S6', name: 'one revision' }, afterRequest, ({ kind, revision }, { facts }) =>
    revision === facts.revision
      ? null
      : `${kind} is of revision ${revision}, the request of ${facts.revision}`,
  ),
  ruleOfOpen({ invariant: 'S6', name: 'one request digest' }, afterRequest, (telling, { facts }) => {
    const { kind, requestDigest } = telling;
    return requestDigest === undefined || requestDigest === facts.requestDigest
      ? null
      : `${kind} has request digest ${requestDigest}, the request ${facts.requestDigest}`;
  }),
  ruleOfOpen({ invariant: 'S7', name: 'one context' }, afterRequest, (telling, { facts }) => {
    const members = ['subject', 'session', 'tenant', 'environment', 'action', 'resource'] as const;
    const other = members.find((name) => telling[name] !== undefined && telling[name] !== facts[name]);
    return other === undefined
      ? null
      : `${telling.kind} has ${other} ${telling[other]}, the request ${facts[other]}`;
  }),
];

export const powerRules: readonly Rule[] = [
  ruleOfOpen({ invariant: 'S6', name: 'shown as planned' }, ['asked'], ({ digest, planHash }, { planned }) =>
    planned.get(digest) === planHash ? null : `people were asked on digest ${digest}, which nobody planned`,
  ),
  ruleOfOpen({ invariant: 'S6', name: 'voted as shown' }, ['voted'], ({ digest, voter }, { asked }) =>
    asked.has(digest) ? null : `${voter} voted on digest ${digest}, on which nobody was asked`,
  ),
  rule({ invariant: 'S6', name: 'vote as recorded' }, ['voted'], (telling, { vote }) => {
    const { requestId, revision, digest, voter, decision } = telling;
    const same =
      vote?.claims.requestId === requestId &&
      vote.claims.revision === revision &&
      vote.claims.digest === digest &&
      vote.claims.voter === voter &&
      vote.claims.vote === decision;
    return same ? null : `vote statement of ${voter} says something else than its entry`;
  }),
  ruleOfOpen({ invariant: 'S4', name: 'decided before minted' }, ['capability-minted'], (minted, request) => {
    const { decision, votes } = request;
    if (decision === null || decision === 'deny') return `minted on decision ${decision ?? 'none'}`;
    const isApproved = [...votes.values()].some(
      ({ vote, digest }) => vote === 'approve' && digest === minted.digest,
    );
    return decision === 'allow' || isApproved ? null : 'minted on a requestable decision without a vote';
  }),
  ruleOfOpen(
    { invariant: 'S6', name: 'minted as shown' },
    ['capability-minted'],
    ({ digest, planHash }, { asked, planned }) =>
      (asked.get(digest) ?? planned.get(digest)) === planHash
        ? null
        : `minted on digest ${digest}, which was neither planned nor shown with this plan`,
  ),
  rule({ invariant: 'S2', name: 'consumed once' }, ['consumed'], ({ capability }, { history }) =>
    history.spent.has(capability) ? `capability ${capability} is consumed a second time` : null,
  ),
  rule(
    { invariant: 'S10', name: 'an end is final' },
    ['consumed', 'ended', 'cancelled'],
    ({ kind }, { request }) => {
      const end = request?.kind === 'open' || request?.kind === 'closed' ? request.end : null;
      return end !== null && finalEnds.has(end) ? `${kind} after the request was ${end}` : null;
    },
  ),
  ruleOfOpen({ invariant: 'S4', name: 'cancelled in time' }, ['cancelled'], ({ requestId }, { consumed }) =>
    consumed.size === 0 ? null : `${requestId} is cancelled after a capability was consumed for it`,
  ),
  rule({ invariant: 'S5', name: 'session lives' }, ['consumed'], ({ session }, { request, history }) => {
    const sessions = [session, request?.kind === 'open' ? request.facts.session : undefined];
    const revoked = sessions.find((one) => one !== undefined && history.revokedSessions.has(one));
    return revoked === undefined ? null : `consumed in session ${revoked} after it was revoked`;
  }),
  ruleOfOpen(
    { invariant: 'S4', name: 'minted before consumed' },
    ['consumed'],
    ({ capability }, { minted }) =>
      minted.has(capability)
        ? null
        : `capability ${capability} is consumed and was not minted for this request`,
  ),
  ruleOfOpen({ invariant: 'S6', name: 'consumed as minted' }, ['consumed'], (consumed, { minted }) => {
    const capability = minted.get(consumed.capability);
    if (capability === undefined) return null;
    return consumed.digest === capability.digest && consumed.planHash === capability.planHash
      ? null
      : `consumed on digest ${consumed.digest}, minted on ${capability.digest}`;
  }),
  ruleOfOpen({ invariant: 'S3', name: 'one attempt a fence' }, ['consumed'], ({ fence }, { consumed }) =>
    [...consumed.values()].some((attempt) => attempt.fence === fence)
      ? `a second attempt is consumed at fence ${fence}`
      : null,
  ),
];

export const effectRules: readonly Rule[] = [
  ruleOfOpen(
    { invariant: 'S4', name: 'consumed before used' },
    ['traded', 'performed'],
    ({ kind, capability }, { consumed }) =>
      consumed.has(capability) ? null : `${kind} by capability ${capability}, which was not consumed`,
  ),
  ruleOfOpen({ invariant: 'S6', name: 'used as consumed' }, ['traded', 'performed'], (used, { consumed }) => {
    const attempt = consumed.get(used.capability);
    if (attempt === undefined) return null;
    return used.digest === attempt.digest && used.fence === attempt.fence
      ? null
      : `${used.kind} on digest ${used.digest} at fence ${used.fence}, consumed on ${attempt.digest} at ${attempt.fence}`;
  }),
  rule({ invariant: 'S3', name: 'one effect' }, ['performed'], ({ outcome }, { request }) =>
    request?.isApplied === true && outcome === 'applied' ? 'a second effect of one request is applied' : null,
  ),
  rule({ invariant: 'S4', name: 'nothing in flight' }, ['traded', 'performed'], ({ kind }, { request }) =>
    request?.kind === 'closed' ? `${kind} after the request was ${request.end}` : null,
  ),
  ruleOfOpen({ invariant: 'S4', name: 'done by an effect' }, ['ended'], ({ outcome }, { isApplied }) =>
    outcome === 'done' && !isApplied ? 'ended as done without an applied effect' : null,
  ),
];
