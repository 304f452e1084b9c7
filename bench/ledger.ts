import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { openDatabase } from '../src/database/pool.ts';
import { loadSigningKey } from '../src/identity/keys.ts';
import { loadManifest } from '../src/identity/manifest.ts';
import { verify } from '../src/identity/verify.ts';
import { createEntryWriter } from '../src/ledger/entry.ts';
import { verifyLedger } from '../src/ledger/verify/verify-database.ts';
import type { Result } from './results.ts';
import { compare } from './statistics.ts';
import type { World } from './world.ts';

const BLOCKS = 3;
const APPENDS = 100;

/** One entry by its only way in, beside a plain insert of the same bytes; each is a commit that the disk has. */
export async function measureAppend({ dev, own }: World): Promise<Result[]> {
  const login = openDatabase(dev.urls.login('gate'), () => undefined);
  const key = await loadSigningKey('gate', 'entry', dev.data.keys('gate'));
  const writeEntry = createEntryWriter(key, () => Date.now());
  await own.run(
    'create table if not exists public.bench_insert (id uuid primary key default gen_random_uuid(), jws text)',
  );
  const append: number[][] = [];
  const insert: number[][] = [];
  for (let block = 0; block < BLOCKS; block += 1) {
    const ours: number[] = [];
    const peers: number[] = [];
    for (let at = 0; at < APPENDS; at += 1) {
      const entry = await writeEntry({ kind: 'consume-refused', code: 'CAPABILITY_INVALID' });
      ours.push(await timed(async () => await login.run('select firebreak.append_entry($1)', [entry])));
      peers.push(
        await timed(async () => await own.run('insert into public.bench_insert (jws) values ($1)', [entry])),
      );
    }
    append.push(ours);
    insert.push(peers);
  }
  await login.close();
  const note =
    'append_entry, one connection, one entry a commit; a plain insert of the same bytes for the peer';
  return [{ name: 'append-vs-insert', unit: 'ms', ...compare(append, insert), note }];
}

const jwsSchema = z.object({ jws: z.string() });

/** Every rule over the whole log, beside the signatures of its entries alone. */
export async function measureVerify({ dev, own }: World): Promise<Result[]> {
  const keys = await loadManifest(dev.data.keyManifest, (await readFile(dev.data.pin, 'utf8')).trim());
  const nowS = Math.floor(Date.now() / 1_000);
  const all: number[][] = [];
  const signatures: number[][] = [];
  let size = 0;
  for (let block = 0; block < BLOCKS; block += 1) {
    const rows = await own.rows(jwsSchema, 'select jws from firebreak.entry where leaf_index is not null');
    size = rows.length;
    const whole = await timed(async () => {
      const verdict = await verifyLedger(own, { keys, directory: dev.settings, nowS });
      if (verdict.kind !== 'holds') throw new Error(`expected a good ledger: ${JSON.stringify(verdict)}`);
    });
    const plain = await timed(async () => {
      for (const { jws } of rows) await verify('entry', jws, { keys, nowS });
    });
    all.push([(whole * 1_000) / size]);
    signatures.push([(plain * 1_000) / size]);
  }
  const note = 'tree, signatures and every rule, a leaf; the entries’ own signatures alone for the peer';
  return [{ name: 'ledger-verify', unit: 'us/leaf', ...compare(all, signatures), n: size, note }];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
