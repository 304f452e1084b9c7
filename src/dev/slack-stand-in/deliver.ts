import { createHmac } from 'node:crypto';

/** Sends an interaction to the app as Slack does: signed over the raw bytes, once, with three seconds for the answer. */
const ANSWER_MAX_MS = 3_000;

export type Delivery = {
  /** Slack shows its warning triangle where this is false. */
  ok: boolean;
  status: number | null;
  late: boolean;
  tookMs: number;
  body: string;
};

type Destination = { eventsUrl: string; signingSecret: string; clock: () => number };

export async function deliver(payload: object, destination: Destination): Promise<Delivery> {
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  const startMs = performance.now();
  const tookMs = () => Math.round(performance.now() - startMs);
  try {
    const response = await fetch(destination.eventsUrl, {
      method: 'POST',
      headers: headersOf(body, destination),
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MAX_MS),
    });
    const text = await response.text();
    const { status } = response;
    return { ok: status === 200, status, late: false, tookMs: tookMs(), body: text };
  } catch (error) {
    const late = error instanceof Error && error.name === 'TimeoutError';
    return { ok: false, status: null, late, tookMs: tookMs(), body: '' };
  }
}

function headersOf(body: string, { signingSecret, clock }: Destination): Record<string, string> {
  const timestamp = String(Math.floor(clock() / 1_000));
  return {
    'content-type': 'application/x-www-form-urlencoded',
    'user-agent': 'Slackbot 1.0 (+https://api.slack.com/robots)',
    'x-slack-request-timestamp': timestamp,
    'x-slack-signature': signatureOf({ timestamp, body, signingSecret }),
  };
}

/** Slack's scheme `v0`: `v0=` and hex of HMAC-SHA-256 over `v0:timestamp:body`. */
export function signatureOf(signed: {
  timestamp: string;
  body: string | Uint8Array;
  signingSecret: string;
}): string {
  const { timestamp, body, signingSecret } = signed;
  return `v0=${createHmac('sha256', signingSecret).update(`v0:${timestamp}:`).update(body).digest('hex')}`;
}
