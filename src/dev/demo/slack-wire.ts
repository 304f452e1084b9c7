import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { RunningDev } from '../supervisor.ts';

const problemSchema = z.looseObject({ code: z.string() });

/** Bytes as somebody on the wire would send them to the people's door: signed with a secret, once or again. */
export async function sendToSlackDoor(
  dev: RunningDev,
  { secret, times }: { secret: string; times: number },
): Promise<string> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const payload = JSON.stringify({
    type: 'block_actions',
    team: { id: 'T0' },
    user: { id: 'U0' },
    actions: [],
  });
  const body = new URLSearchParams({ payload }).toString();
  const mac = createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex');
  let code = 'NOT_REFUSED';
  for (let sent = 1; sent <= times; sent += 1) {
    const response = await fetch(`${dev.ready().origin}/slack/events`, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-slack-request-timestamp': timestamp,
        'x-slack-signature': `v0=${mac}`,
      },
      body,
    });
    if (response.ok) continue;
    code = problemSchema.parse(await response.json()).code;
  }
  return code;
}
