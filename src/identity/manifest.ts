import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { canonicalDigest, canonicalText } from '../canonical.ts';
import { Refusal } from '../refusal.ts';
import { type Kind, kinds } from './claims.ts';
import { splitCompact } from './compact-jws.ts';
import { signCompact, verifyCompact } from './es256.ts';
import { importPublic, type PublicKey, publicJwkSchema, publicKeySchema, type SigningKey } from './keys.ts';

/**
 * The key manifest says which key may sign what. It is signed by offline roots (a threshold of them), and each
 * domain pins the hash of the root set, so that no domain can introduce a key for another one.
 */
const rootsSchema = z.strictObject({ threshold: z.int().min(1), keys: z.array(publicJwkSchema).min(1) });
const contentSchema = z.strictObject({
  version: z.int().min(1),
  keys: z.array(publicKeySchema),
  /** C2SP verifier key of the ledger's notes. */
  ledger: z.string(),
});
const fileSchema = z.strictObject({ roots: rootsSchema, signatures: z.array(z.string()).min(1).max(16) });

export type TrustedKey = { issuer: string; kid: string; key: KeyObject };
export type TrustedKeys = { find(kind: Kind, kid: string): TrustedKey | undefined; ledger: string };
export type Roots = z.infer<typeof rootsSchema>;

/** What a domain pins: base64url(SHA-256(RFC 8785 text of the root set)). */
export function pinOf(roots: Roots): string {
  return canonicalDigest(roots);
}

/** The manifest file's text, signed by one root. */
export async function signManifest(
  content: { version: number; keys: PublicKey[]; ledger: string },
  root: { key: SigningKey; roots: Roots },
): Promise<string> {
  const payload = canonicalText(contentSchema.parse(content));
  const header = { alg: 'ES256', kid: root.key.kid, typ: kinds.keys.typ };
  const signature = signCompact(root.key.key, header, payload);
  return `${JSON.stringify({ roots: root.roots, signatures: [signature] }, undefined, 2)}\n`;
}

/** Verifies the manifest against the pin; CONFIG_INVALID says what does not hold. */
export async function loadManifest(file: string, pin: string): Promise<TrustedKeys> {
  return await parseManifest(await readFile(file, 'utf8'), pin);
}

export async function parseManifest(text: string, pin: string): Promise<TrustedKeys> {
  const { roots, signatures } = parseFile(text);
  if (pinOf(roots) !== pin)
    throw new Refusal('CONFIG_INVALID', 'key manifest has other roots than the pinned ones');
  const content = await checkThreshold(roots, signatures);
  const table = new Map<string, TrustedKey>();
  for (const { issuer, kind, kid, jwk } of content.keys) {
    table.set(`${kind} ${kid}`, { issuer, kid, key: importPublic(jwk) });
  }
  return { find: (kind, kid) => table.get(`${kind} ${kid}`), ledger: content.ledger };
}

function parseFile(text: string) {
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', 'expected a key manifest', { cause });
  }
}

/** Every counted signature is by another root and over the very same bytes. */
async function checkThreshold(roots: Roots, signatures: string[]) {
  const byKid = new Map<string, KeyObject>();
  for (const jwk of roots.keys) byKid.set(await calculateJwkThumbprint(jwk), importPublic(jwk));
  const signers = new Set<string>();
  const payloads = new Set<string>();
  for (const signature of signatures) {
    const { header, payload } = splitCompact(signature, 'CONFIG_INVALID');
    const { kid, typ } = z
      .strictObject({ alg: z.literal('ES256'), kid: z.string(), typ: z.string() })
      .parse(JSON.parse(header));
    const key = byKid.get(kid);
    if (key === undefined || typ !== kinds.keys.typ) continue;
    if (!verifyCompact(signature, key)) {
      throw new Refusal('CONFIG_INVALID', 'a signature of the key manifest does not verify');
    }
    signers.add(kid);
    payloads.add(payload);
  }
  const [payload] = payloads;
  if (payload === undefined || payloads.size !== 1 || signers.size < roots.threshold) {
    throw new Refusal('CONFIG_INVALID', `expected ${roots.threshold} roots to have signed one key manifest`);
  }
  return contentSchema.parse(JSON.parse(payload));
}
