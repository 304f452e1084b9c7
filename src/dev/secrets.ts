import { z } from 'zod';
import { domains } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import { ensurePrivateFile, randomSecret } from './private-file.ts';

/** Passwords of every login and Slack's two secrets, random, in one file of mode 0600. */
const secret = z.string().min(32);

const secretsSchema = z.strictObject({
  /** Superusers of the two servers: migrations and installing use them, no domain has them. */
  superuser: secret,
  shopSuperuser: secret,
  logins: z.record(z.enum(domains), secret),
  /** Logins in the demo target. */
  targetPlanner: secret,
  targetExecutor: secret,
  slackBotToken: secret,
  slackSigningSecret: secret,
});
export type Secrets = z.infer<typeof secretsSchema>;

export async function ensureSecrets(file: string): Promise<Secrets> {
  const text = await ensurePrivateFile(file, () => `${JSON.stringify(createSecrets(), undefined, 2)}\n`);
  try {
    return secretsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${file} has another form than expected: restore it`, { cause });
  }
}

function createSecrets(): Secrets {
  return secretsSchema.parse({
    superuser: randomSecret(),
    shopSuperuser: randomSecret(),
    logins: Object.fromEntries(domains.map((domain) => [domain, randomSecret()])),
    targetPlanner: randomSecret(),
    targetExecutor: randomSecret(),
    slackBotToken: `xoxb-${randomSecret()}`,
    slackSigningSecret: randomSecret(),
  });
}
