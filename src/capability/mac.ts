import { createHmac } from 'node:crypto';

/**
 * One half of a borrowed credential: HMAC-SHA-256 over a statement's exact text, base64url (43 characters). The
 * target holds both keys, gate and credentials service one each, so that neither can authorise alone.
 */
export function macOf(statement: string, key: Uint8Array): string {
  return createHmac('sha256', key).update(statement, 'utf8').digest('base64url');
}
