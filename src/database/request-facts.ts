import type { EntryBody } from '../identity/claims.ts';
import type { RequestRow } from './requests.ts';

type RequestFacts = Pick<
  EntryBody,
  | 'requestId'
  | 'revision'
  | 'requestDigest'
  | 'subject'
  | 'session'
  | 'tenant'
  | 'environment'
  | 'action'
  | 'resource'
  | 'traceId'
>;

/** What every entry of a request carries. */
export function requestFacts(row: RequestRow): RequestFacts {
  return {
    requestId: row.id,
    revision: row.revision,
    requestDigest: row.request_digest,
    subject: row.agent,
    session: row.session_id,
    tenant: row.tenant,
    environment: row.environment,
    action: row.action,
    resource: row.resource,
    traceId: row.trace_id,
  };
}
