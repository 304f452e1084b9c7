import { readFile } from 'node:fs/promises';
import { dataDirectory } from '../dev/data-directory.ts';
import { kinds } from '../identity/claims.ts';
import { type Jwks, parseJwks } from '../identity/jwks.ts';
import { parseManifest } from '../identity/manifest.ts';
import { Refusal } from '../refusal.ts';
import { printError, visible } from './output.ts';
import type { Trust } from './token-kinds.ts';

/** By which keys `firebreak token verify` judges: a JWK Set, or the pinned key manifest of a data directory. */
type Source = { jwks?: string | undefined; data: string };
type Keys = Pick<Trust, 'keys' | 'others'>;

export async function loadKeys({ jwks, data }: Source): Promise<Keys> {
  if (jwks === undefined) {
    const { keyManifest, pin } = dataDirectory(data);
    const keys = await parseManifest(await readText(keyManifest), (await readText(pin)).trim());
    return { keys, others: undefined };
  }
  const set = await parseJwks(await readText(jwks));
  for (const { kid, reason } of set.unused) {
    printError('CONFIG_INVALID', visible(`key ${kid} is not used: ${reason}`));
  }
  return trustJwks(set);
}

/**
 * A JWK Set does not say what a key may sign, so each of its ES256 keys is taken as that of whoever signs the kind;
 * who has to know which key may sign what reads the key manifest.
 */
function trustJwks(jwks: Jwks): Keys {
  return {
    keys: {
      find(kind, kid) {
        const found = jwks.find(kid);
        const { signer } = kinds[kind];
        if (found?.alg !== 'ES256' || signer === null) return undefined;
        return { issuer: signer, kid, key: found.key };
      },
    },
    others: jwks,
  };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${file} cannot be read`, { cause });
  }
}
