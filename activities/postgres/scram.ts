import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { Refusal } from '../../src/refusal.ts';

const ITERATIONS = 4_096;
const SALT_BYTES = 16;
const PRINTABLE_ASCII = /^[\x20-\x7e]{12,200}$/;

/**
 * PostgreSQL's stored form of a password (RFC 5803): with it in place of the password, no server log and no
 * printed script holds something to log in with.
 */
export function scramVerifier(password: string, salt: Uint8Array = randomBytes(SALT_BYTES)): string {
  // ASCII needs no SASLprep, which could make client and server derive different keys.
  if (!PRINTABLE_ASCII.test(password)) {
    throw new Refusal('CONFIG_INVALID', 'expected a login password of 12 to 200 printable ASCII characters');
  }
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`;
}
