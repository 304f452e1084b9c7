import { z } from 'zod';
import { domains } from '../domains.ts';
import { ensureKeys, loadSigningKey, type PublicKey, publicKeySchema } from '../identity/keys.ts';
import { parseManifest, pinOf, signManifest, type TrustedKeys } from '../identity/manifest.ts';
import { Refusal } from '../refusal.ts';
import type { DataDirectory } from './data-directory.ts';
import { readIfThere, replaceFile } from './private-file.ts';
import { together } from './together.ts';

/**
 * The trust of a development deployment: one root that nobody keeps offline, each domain's keys, and the manifest
 * in which that root says which key may sign what. It only ever adds keys; a key that took another one's place is
 * refused, since what the old one signed would no longer verify.
 */
export type Trust = { pin: string; keys: TrustedKeys };

/** @param ledger the verifier key of the ledger's notes. */
export async function ensureKeyManifest(data: DataDirectory, ledger: string): Promise<Trust> {
  const keys = await ensureAllKeys(data);
  const roots = { threshold: 1, keys: rootKeysOf(keys) };
  const pin = await ensurePin(data, pinOf(roots));
  const present = await readIfThere(data.keyManifest);
  const known =
    present === undefined ? undefined : await readContent(present, { file: data.keyManifest, pin });
  const added = keys.filter((key) => isNew(key, known?.keys ?? [], data));
  if (known !== undefined && known.ledger !== ledger) throw replaced('the ledger', 'note', data);
  if (present !== undefined && added.length === 0) return { pin, keys: await parseManifest(present, pin) };
  const content = { version: (known?.version ?? 0) + 1, keys: [...(known?.keys ?? []), ...added], ledger };
  const key = await loadSigningKey('root', 'keys', data.keys('root'));
  const text = await signManifest(content, { key, roots });
  await replaceFile(data.keyManifest, text, 0o644);
  return { pin, keys: await parseManifest(text, pin) };
}

/** In production each domain makes its own keys and hands out the public halves; here all are one user. */
async function ensureAllKeys(data: DataDirectory): Promise<PublicKey[]> {
  const issuers = [...domains, 'root'] as const;
  const made = await together(issuers.map(async (issuer) => await ensureKeys(issuer, data.keys(issuer))));
  return made.flat();
}

function rootKeysOf(keys: readonly PublicKey[]): PublicKey['jwk'][] {
  return keys.filter(({ issuer, kind }) => issuer === 'root' && kind === 'keys').map(({ jwk }) => jwk);
}

/** The pin is written once: another root key in its folder is another deployment. */
async function ensurePin(data: DataDirectory, pin: string): Promise<string> {
  const pinned = (await readIfThere(data.pin))?.trim();
  if (pinned === undefined) {
    await replaceFile(data.pin, `${pin}\n`, 0o644);
  } else if (pinned !== pin) {
    throw new Refusal(
      'CONFIG_INVALID',
      `the root key in ${data.keys('root')} is not the one that ${data.pin} pins: restore it`,
    );
  }
  return pin;
}

const contentSchema = z.object({ version: z.int(), keys: z.array(publicKeySchema), ledger: z.string() });
const fileSchema = z.object({ signatures: z.array(z.string()).min(1) });

/** What the manifest says, once its signatures hold. */
async function readContent(text: string, { file, pin }: { file: string; pin: string }) {
  try {
    await parseManifest(text, pin);
  } catch (cause) {
    throw new Refusal('CONFIG_INVALID', `${file} is not signed by this deployment's root: restore it`, {
      cause,
    });
  }
  const [signature = ''] = fileSchema.parse(JSON.parse(text)).signatures;
  const payload = Buffer.from(signature.split('.')[1] ?? '', 'base64url').toString();
  return contentSchema.parse(JSON.parse(payload));
}

function isNew({ issuer, kind, kid }: PublicKey, known: readonly PublicKey[], data: DataDirectory): boolean {
  const before = known.filter((key) => key.issuer === issuer && key.kind === kind);
  if (before.some((key) => key.kid === kid)) return false;
  if (before.length > 0) throw replaced(issuer, kind, data);
  return true;
}

function replaced(owner: string, kind: string, data: DataDirectory): Refusal {
  const way = `restore the key, or delete ${data.keyManifest} to trust the new one from now on`;
  return new Refusal(
    'CONFIG_INVALID',
    `the ${kind} key of ${owner} is not the one that the root signed for: ${way}`,
  );
}
