import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../../refusal.ts';

/**
 * Slack's request signature, v0: over the raw bytes, because decoding first would let two bodies share one
 * signature. Bolt's own check takes timestamps of the future and forms them through a number, so it is not used.
 */
export const SIGNATURE_AGE_MAX_S = 300;

type Signed = {
  /** Name and value in turn, as they came: a second header of one name must not hide. */
  rawHeaders: readonly string[];
  body: Uint8Array;
};

/** @returns the signature, which its caller lets through once. */
export function verifySlackSignature(
  { rawHeaders, body }: Signed,
  { secret, nowS }: { secret: string; nowS: number },
): string {
  const timestamp = onlyHeader(rawHeaders, 'x-slack-request-timestamp');
  const signature = onlyHeader(rawHeaders, 'x-slack-signature');
  if (!/^\d{10}$/.test(timestamp)) throw new Refusal('SLACK_SIGNATURE', 'expected a timestamp of ten digits');
  const expected = signSlack({ timestamp, body, secret });
  if (!isEqual(signature, expected)) throw new Refusal('SLACK_SIGNATURE', 'signature does not verify');
  if (Math.abs(nowS - Number(timestamp)) > SIGNATURE_AGE_MAX_S) {
    throw new Refusal('SLACK_STALE', `expected a timestamp within ${SIGNATURE_AGE_MAX_S} s of now`);
  }
  return signature;
}

/** `v0=` and the hex of HMAC-SHA-256 over `v0:timestamp:body`. */
export function signSlack(signed: { timestamp: string; body: Uint8Array; secret: string }): string {
  const { timestamp, body, secret } = signed;
  const mac = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body);
  return `v0=${mac.digest('hex')}`;
}

function onlyHeader(rawHeaders: readonly string[], name: string): string {
  const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
  const [value] = values;
  if (value === undefined || values.length !== 1) {
    throw new Refusal('SLACK_SIGNATURE', `expected exactly one header ${name}`);
  }
  return value;
}

function isEqual(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
