import { parseContent, type RequestContent, requestDigestOf, targetNameOf } from '../action/request.ts';
import { Refusal } from '../refusal.ts';
import type { RequestRow } from './requests.ts';

/**
 * What was asked, read again from the stored text that the digest covers. A row's columns are derived and prove
 * nothing: where one of them says something else, somebody wrote to the table, and everybody refuses.
 */
export function readContent(row: RequestRow): RequestContent {
  const content = parse(row);
  const same =
    requestDigestOf(content) === row.request_digest &&
    content.requestId === row.id &&
    content.revision === row.revision &&
    content.session === row.session_id &&
    content.tenant === row.tenant &&
    content.environment === row.environment &&
    content.action === row.action &&
    content.resource === row.resource &&
    targetNameOf(content) === row.target;
  if (!same) throw differs();
  return content;
}

function parse(row: RequestRow): RequestContent {
  try {
    return parseContent(row.content);
  } catch (cause) {
    throw differs(cause);
  }
}

function differs(cause?: unknown): Refusal {
  return new Refusal('DIGEST_MISMATCH', 'stored request is not what its digest covers', { cause });
}
