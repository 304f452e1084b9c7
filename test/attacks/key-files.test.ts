import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domains } from '../../src/domains.ts';
import { ensureKeys } from '../../src/identity/keys.ts';

/** As in production: a user id per domain. Needs root, because only root can be several users. */
const isRoot = process.getuid?.() === 0;
const FIRST_UID = 61_001;
const uidOf = (domain: string) => FIRST_UID + domains.findIndex((each) => each === domain);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firebreak-keys-'));
  // Everybody may pass through to a folder of their own.
  await chmod(directory, 0o711);
  for (const domain of domains) {
    const own = join(directory, domain);
    await ensureKeys(domain, own);
    if (!isRoot) continue;
    for (const file of [own, ...(await readdir(own)).map((name) => join(own, name))]) {
      await chown(file, uidOf(domain), uidOf(domain));
    }
  }
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

/** Domains whose call key the user of one domain can read. */
function readableBy(domain: string): string[] {
  return domains.filter((each) => canRead(`${uidOf(domain)}`, join(directory, each, 'call.jwk')));
}

function canRead(uid: string, file: string): boolean {
  try {
    execFileSync('setpriv', ['--reuid', uid, '--regid', uid, '--clear-groups', '--', 'cat', file], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

test.runIf(isRoot).each(domains)('the user of %s reads its own keys and nobody else’s', (domain) => {
  expect(readableBy(domain)).toEqual([domain]);
});
