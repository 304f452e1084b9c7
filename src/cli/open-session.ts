import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importJWK, type JWK, SignJWT } from 'jose';
import { z } from 'zod';
import { createProof } from '../identity/dpop.ts';
import { createPossessionKey, importPrivate } from '../identity/keys.ts';
import { Refusal } from '../refusal.ts';
import { readAnswer } from './agent-client.ts';

/** A session on the caller's side: the token, and the key that makes it worth something. */
const sessionSchema = z.strictObject({
  origin: z.string(),
  sessionId: z.string(),
  accessToken: z.string(),
  purpose: z.string(),
  expiresAt: z.iso.datetime(),
});
export type AgentSession = z.infer<typeof sessionSchema>;
export type HeldSession = { session: AgentSession; key: JWK };

/** A workload's own identity, e.g. the one that `firebreak dev` makes for itself; never an agent's key. */
export const workloadKeySchema = z.object({
  issuer: z.string(),
  subject: z.string(),
  audience: z.string(),
  jwk: z.looseObject({ kty: z.string(), kid: z.string(), d: z.string() }),
});
export type WorkloadKey = z.infer<typeof workloadKeySchema>;

const SESSION_FILE = 'session.json';
const KEY_FILE = 'agent-key.jwk';
const WORKLOAD_TOKEN_LIFETIME_S = 300;
const TIMEOUT_MS = 20_000;

const answerSchema = z.object({
  access_token: z.string(),
  token_type: z.literal('DPoP'),
  expires_in: z.int(),
  scope: z.string(),
  session_id: z.string(),
});

/** Exchanges the workload's token for an access token that is bound to a key made here and now. */
export async function openSession(ask: {
  origin: string;
  workload: WorkloadKey;
  purpose?: string | undefined;
}): Promise<HeldSession> {
  const nowS = Math.floor(Date.now() / 1_000);
  const { privateJwk, publicJwk } = await createPossessionKey();
  const url = `${ask.origin}/oauth/token`;
  const proof = await createProof(importPrivate(privateJwk), publicJwk, { method: 'POST', url, nowS });
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await signWorkloadToken(ask.workload, nowS),
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    ...(ask.purpose === undefined ? {} : { scope: ask.purpose }),
  });
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const post = async () => await fetch(url, { method: 'POST', headers: { dpop: proof }, body, signal });
  const answer = await readAnswer(answerSchema, ask.origin, post);
  const session = {
    origin: ask.origin,
    sessionId: answer.session_id,
    accessToken: answer.access_token,
    purpose: answer.scope,
    expiresAt: new Date((nowS + answer.expires_in) * 1_000).toISOString(),
  };
  return { session, key: privateJwk };
}

async function signWorkloadToken(
  { issuer, subject, audience, jwk }: WorkloadKey,
  nowS: number,
): Promise<string> {
  const alg = jwk.kty === 'RSA' ? 'RS256' : 'ES256';
  return await new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg, kid: jwk.kid, typ: 'JWT' })
    .setIssuer(issuer)
    .setSubject(subject)
    .setAudience(audience)
    .setIssuedAt(nowS)
    .setExpirationTime(nowS + WORKLOAD_TOKEN_LIFETIME_S)
    .sign(await importJWK(jwk, alg));
}

/** Token and key in two files of mode 0600, in a folder of mode 0700. */
export async function writeSession(directory: string, { session, key }: HeldSession): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeSecret(join(directory, KEY_FILE), key);
  await writeSecret(join(directory, SESSION_FILE), session);
}

async function writeSecret(file: string, content: unknown): Promise<void> {
  // A mode counts only for a file that is made: whoever has an older, wider one would keep it.
  await rm(file, { force: true });
  await writeFile(file, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' });
}

const keySchema = z.looseObject({ kty: z.literal('EC'), d: z.string() });

export async function readSession(directory: string): Promise<HeldSession> {
  return {
    session: await readJsonFile(join(directory, SESSION_FILE), sessionSchema),
    key: await readJsonFile(join(directory, KEY_FILE), keySchema),
  };
}

export async function readJsonFile<S extends z.ZodType>(file: string, schema: S): Promise<z.infer<S>> {
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${file} is not there or has another form than expected`, { cause });
  }
}
