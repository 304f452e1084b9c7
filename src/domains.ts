/**
 * The trust domains of `dev` and production: each has its own process, keys, database login and, if it needs one,
 * Temporal identity. Capturing one of them must not give what another one holds.
 */
export const domains = [
  'gateway',
  'people',
  'broker',
  'gate',
  'credentials',
  'ledger',
  'orchestrator',
  'planner',
  'executor',
] as const;

export type Domain = (typeof domains)[number];

/** The PostgreSQL login of a domain; `session_user` in the ledger says which domain appended an entry. */
export function loginOf(domain: Domain): string {
  return `firebreak_${domain}`;
}
