import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { z } from 'zod';
import type { Domain } from '../domains.ts';
import { Refusal } from '../refusal.ts';
import { type Kind, kinds } from './claims.ts';

/**
 * A domain's own private keys: one per kind, P-256, each a JWK file of mode 0600 in a folder of mode 0700,
 * made by the domain itself and never leaving it.
 */
export type SigningKey = { issuer: Domain | 'root'; kind: Kind; kid: string; key: KeyObject };

export const publicJwkSchema = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
});
const privateJwkSchema = publicJwkSchema.extend({ d: z.string() });
export type PublicJwk = z.infer<typeof publicJwkSchema>;

export const publicKeySchema = z.strictObject({
  issuer: z.string(),
  kind: z.string(),
  kid: z.string(),
  jwk: publicJwkSchema,
});
export type PublicKey = z.infer<typeof publicKeySchema>;

/** The kinds that a domain signs, from the one table of kinds. */
export function kindsSignedBy(issuer: Domain | 'root'): Kind[] {
  const all = Object.keys(kinds) as Kind[]; // Object.keys forgets the key type of a const table.
  return all.filter((kind) => {
    const { signer } = kinds[kind];
    return signer === issuer || (signer === null && issuer !== 'root');
  });
}

/** Makes what is missing of a domain's keys and returns their public halves. Safe to call again. */
export async function ensureKeys(issuer: Domain | 'root', directory: string): Promise<PublicKey[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const made: PublicKey[] = [];
  for (const kind of kindsSignedBy(issuer)) {
    const jwk = (await readPrivateJwk(directory, kind)) ?? (await createKey(directory, kind));
    const { d: _secret, ...publicJwk } = jwk;
    made.push({ issuer, kind, kid: await calculateJwkThumbprint(publicJwk), jwk: publicJwk });
  }
  return made;
}

/** Loads one signing key; refuses to start when it is missing. */
export async function loadSigningKey(
  issuer: Domain | 'root',
  kind: Kind,
  directory: string,
): Promise<SigningKey> {
  const jwk = await readPrivateJwk(directory, kind);
  if (jwk === undefined) {
    throw new Refusal('CONFIG_INVALID', `expected the ${kind} key of ${issuer} in ${directory}, found none`);
  }
  const { d: _secret, ...publicJwk } = jwk;
  return { issuer, kind, kid: await calculateJwkThumbprint(publicJwk), key: importPrivate(jwk) };
}

/** A key of one attempt or one agent session: extractable only where its holder must store it. */
export async function createPossessionKey(): Promise<{ privateJwk: JWK; publicJwk: PublicJwk; jkt: string }> {
  const privateJwk = generatePrivateJwk();
  const { d: _secret, ...publicJwk } = privateJwk;
  return { privateJwk, publicJwk, jkt: await calculateJwkThumbprint(publicJwk) };
}

function generatePrivateJwk(): z.infer<typeof privateJwkSchema> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateJwkSchema.parse(privateKey.export({ format: 'jwk' }));
}

/** RFC 7638 thumbprint: what `cnf.jkt` holds. */
export async function jktOf(jwk: PublicJwk): Promise<string> {
  return await calculateJwkThumbprint(jwk);
}

/** Throws for a point that is not on the curve. */
export function importPublic({ kty, crv, x, y }: PublicJwk): KeyObject {
  return createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });
}

export function importPrivate(jwk: JWK): KeyObject {
  const { kty, crv, x, y, d } = privateJwkSchema.parse(jwk);
  return createPrivateKey({ key: { kty, crv, x, y, d }, format: 'jwk' });
}

async function createKey(directory: string, kind: Kind): Promise<z.infer<typeof privateJwkSchema>> {
  const jwk = generatePrivateJwk();
  // `wx`: never write over a key that somebody else made meanwhile.
  await writeFile(keyFile(directory, kind), `${JSON.stringify(jwk)}\n`, { mode: 0o600, flag: 'wx' });
  return jwk;
}

async function readPrivateJwk(directory: string, kind: Kind) {
  try {
    return privateJwkSchema.parse(JSON.parse(await readFile(keyFile(directory, kind), 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new Refusal('CONFIG_INVALID', `expected a P-256 private JWK in ${keyFile(directory, kind)}`, {
      cause: error,
    });
  }
}

function keyFile(directory: string, kind: Kind): string {
  return join(directory, `${kind}.jwk`);
}
