import type { Database } from '../../database/pool.ts';
import { REQUEST_COLUMNS, type RequestRow, requestRowSchema } from '../../database/requests.ts';
import { Refusal } from '../../refusal.ts';
import type { Agent } from './authenticate.ts';

/** The unique index that lets the first of two concurrent submits win. */
export const IDEMPOTENCY_INDEX = 'request_idempotency';

/**
 * draft-ietf-httpapi-idempotency-key-header: an RFC 9651 String, thus quoted; many clients send it bare, and both are
 * taken. Without the header each submit is a request of its own.
 */
export function idempotencyKeyOf(values: readonly string[]): string | undefined {
  const [value, ...more] = values;
  if (value === undefined) return undefined;
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,256})"$/.exec(value)?.[1];
  const key = quoted === undefined ? value : quoted.replaceAll(/\\(["\\])/g, '$1');
  const isKey = quoted === undefined ? /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(key) : key.length <= 128;
  if (!isKey || more.length > 0) {
    throw new Refusal('INVALID_INPUT', 'expected one Idempotency-Key of 1 to 128 printable characters');
  }
  return key;
}

/** The request that this agent filed under this key before; refuses the key when it came with another body than told. */
export async function findRepeated(
  database: Database,
  agent: Agent,
  submit: { idempotencyKey: string; bodyHash?: string },
): Promise<RequestRow | undefined> {
  const { client_id, tenant } = agent.claims;
  const [row] = await database.rows(
    requestRowSchema,
    `select ${REQUEST_COLUMNS} from firebreak.request where agent = $1 and tenant = $2 and idempotency_key = $3`,
    [client_id, tenant, submit.idempotencyKey],
  );
  const { bodyHash } = submit;
  if (row !== undefined && bodyHash !== undefined && row.body_hash !== bodyHash) {
    throw new Refusal('IDEMPOTENCY_KEY_REUSED', 'this Idempotency-Key came with another body before');
  }
  return row;
}
