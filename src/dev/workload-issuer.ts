import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { z } from 'zod';
import { type WorkloadKey, workloadKeySchema } from '../cli/open-session.ts';
import { publicJwkSchema } from '../identity/keys.ts';
import { Refusal } from '../refusal.ts';
import type { Settings } from '../settings.ts';
import type { DataDirectory } from './data-directory.ts';
import { ensurePrivateFile, replaceFile, writePrivateFile } from './private-file.ts';

/**
 * What a cloud or SPIFFE is in production: who says which workload a process is. One key signs for all agents of
 * this data directory, and each agent's file holds it, so an agent here could name itself as another one.
 */
export const DEVELOPMENT_ISSUER = 'https://workloads.development.firebreak.local';

const privateKeySchema = publicJwkSchema.extend({ d: z.string() });

/** @returns the workload key files by agent, those of the development issuer alone. */
export async function ensureWorkloads(
  data: DataDirectory,
  settings: Settings,
): Promise<Record<string, string>> {
  const jwk = await ensureKey(join(data.keys('workload'), 'issuer.jwk'));
  const { d: _secret, ...publicJwk } = jwk;
  await replaceFile(data.issuer, jsonText({ keys: [{ ...publicJwk, alg: 'ES256', use: 'sig' }] }), 0o644);
  const files: Record<string, string> = {};
  for (const { issuer, subject, audience, agent } of settings.workloads) {
    if (issuer !== DEVELOPMENT_ISSUER || files[agent] !== undefined) continue;
    const key: WorkloadKey = { issuer, subject, audience, jwk };
    await writePrivateFile(data.agent(agent), jsonText(key));
    files[agent] = data.agent(agent);
  }
  return files;
}

async function ensureKey(file: string): Promise<WorkloadKey['jwk']> {
  const text = await ensurePrivateFile(file, async () => jsonText(await createKey()));
  try {
    const jwk = privateKeySchema.parse(JSON.parse(text));
    return workloadKeySchema.shape.jwk.parse({ ...jwk, kid: await calculateJwkThumbprint(jwk) });
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `expected a P-256 private JWK in ${file}`, { cause });
  }
}

async function createKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  return await exportJWK(privateKey);
}

function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
