import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { codeOf } from '../../refusal.ts';
import { signSlack, verifySlackSignature } from './slack-signature.ts';

const vector = z
  .object({
    signing_secret: z.string(),
    timestamp: z.string(),
    raw_body: z.string(),
    expected_header: z.string(),
  })
  .parse(
    JSON.parse(readFileSync(new URL('../../../test/vectors/slack/verify_v0.json', import.meta.url), 'utf8')),
  );
const secret = vector.signing_secret;
const body = Buffer.from(vector.raw_body);
const nowS = Number(vector.timestamp);
const stamp = ['X-Slack-Request-Timestamp', vector.timestamp];
const mark = ['X-Slack-Signature', vector.expected_header];

function codeFor(signed: {
  rawHeaders?: string[];
  body?: Uint8Array;
  secret?: string;
  nowS?: number;
}): string {
  try {
    const rawHeaders = signed.rawHeaders ?? [...stamp, ...mark];
    verifySlackSignature({ rawHeaders, body: signed.body ?? body }, { secret, nowS, ...signed });
    return 'accepted';
  } catch (error) {
    return codeOf(error);
  }
}

test('Slack’s published example verifies, and is returned to be let through once', () => {
  const rawHeaders = [...stamp, ...mark];
  expect(verifySlackSignature({ rawHeaders, body }, { secret, nowS })).toBe(vector.expected_header);
});

test('another secret, another body and another signature do not verify', () => {
  expect(codeFor({ secret: `${secret.slice(0, -1)}6` })).toBe('SLACK_SIGNATURE');
  expect(codeFor({ body: Buffer.from(`${vector.raw_body}&text=x`) })).toBe('SLACK_SIGNATURE');
  expect(codeFor({ body: Buffer.from(vector.raw_body.replaceAll('%2F', '%2f')) })).toBe('SLACK_SIGNATURE');
  const upper = vector.expected_header.toUpperCase();
  expect(codeFor({ rawHeaders: [...stamp, 'X-Slack-Signature', upper] })).toBe('SLACK_SIGNATURE');
  const short = vector.expected_header.slice(0, 20);
  expect(codeFor({ rawHeaders: [...stamp, 'X-Slack-Signature', short] })).toBe('SLACK_SIGNATURE');
});

test('five minutes old is taken, and older or from further ahead is not', () => {
  expect(codeFor({ nowS: nowS + 300 })).toBe('accepted');
  expect(codeFor({ nowS: nowS - 300 })).toBe('accepted');
  expect(codeFor({ nowS: nowS + 301 })).toBe('SLACK_STALE');
  expect(codeFor({ nowS: nowS - 301 })).toBe('SLACK_STALE');
});

test('a header that is missing, comes twice or is no timestamp is refused', () => {
  expect(codeFor({ rawHeaders: stamp })).toBe('SLACK_SIGNATURE');
  expect(codeFor({ rawHeaders: mark })).toBe('SLACK_SIGNATURE');
  expect(codeFor({ rawHeaders: [...stamp, ...mark, 'x-slack-signature', 'v0=00'] })).toBe('SLACK_SIGNATURE');
  expect(codeFor({ rawHeaders: [...stamp, ...stamp, ...mark] })).toBe('SLACK_SIGNATURE');
  for (const timestamp of ['1e9', `${vector.timestamp}.0`, ` ${vector.timestamp}`, '']) {
    const rawHeaders = ['X-Slack-Request-Timestamp', timestamp, ...mark];
    expect(codeFor({ rawHeaders })).toBe('SLACK_SIGNATURE');
  }
});

test('a part of the body cannot move into the timestamp, where the signed bytes stay the same', () => {
  const timestamp = vector.timestamp;
  const signature = signSlack({ timestamp, body: Buffer.from('text=a:payload=b'), secret });
  const marked = ['X-Slack-Signature', signature];
  const whole = [...stamp, ...marked];
  expect(codeFor({ rawHeaders: whole, body: Buffer.from('text=a:payload=b') })).toBe('accepted');
  const moved = ['X-Slack-Request-Timestamp', `${timestamp}:text=a`, ...marked];
  expect(codeFor({ rawHeaders: moved, body: Buffer.from('payload=b') })).toBe('SLACK_SIGNATURE');
});
