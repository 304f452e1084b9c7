import type { Domain } from '../domains.ts';

/**
 * Which domain may author which kind of entry. The database holds its own copy against each login; a verifier trusts
 * this one, because whoever can rewrite the log can rewrite the database's table too.
 */
const kindsOf: Record<Domain, readonly string[]> = {
  gateway: ['requested', 'cancelled'],
  broker: [
    'session-opened',
    'session-revoked',
    'session-refused',
    'context-issued',
    'decided',
    'capability-minted',
    'mint-refused',
  ],
  planner: ['planned', 'plan-refused'],
  people: ['asked', 'voted', 'vote-refused', 'revoked'],
  gate: ['consumed', 'consume-refused'],
  credentials: ['traded', 'trade-refused'],
  executor: ['performed', 'perform-refused'],
  orchestrator: ['ended'],
  // It orders what others say, and says nothing itself.
  ledger: [],
};

export function mayAuthor(author: Domain, kind: string): boolean {
  return kindsOf[author].includes(kind);
}
