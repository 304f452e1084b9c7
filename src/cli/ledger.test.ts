import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LedgerLog, startLedgerLog } from '../../test/fixtures/ledger-log.ts';
import { type Story, tellStory } from '../../test/fixtures/ledger-story.ts';
import { lockDataDirectory } from '../dev/data-lock.ts';
import { defaultSettings } from '../dev/default-settings.ts';
import { randomSecret } from '../dev/private-file.ts';
import { domains, loginOf } from '../domains.ts';

const launcher = fileURLToPath(new URL('../../bin/firebreak.mjs', import.meta.url));

let log: LedgerLog;
let story: Story;
let directory: string;

/** The fixture's database and keys, with the files beside them that make a data directory of `firebreak dev`. */
beforeAll(async () => {
  log = await startLedgerLog();
  story = await tellStory(log.database);
  for (const { author, facts } of story.steps.values()) await log.append(author, facts);
  await log.sequence();
  directory = log.database.directory;
  await mkdir(join(directory, 'trust'));
  await writeFile(join(directory, 'trust', 'keys.json'), log.database.manifest);
  await writeFile(join(directory, 'trust', 'pin'), `${log.database.pin}\n`);
  const secrets = {
    superuser: randomSecret(),
    shopSuperuser: randomSecret(),
    logins: Object.fromEntries(domains.map((domain) => [domain, randomSecret()])),
    targetPlanner: randomSecret(),
    targetExecutor: randomSecret(),
    slackBotToken: `xoxb-${randomSecret()}`,
    slackSigningSecret: randomSecret(),
  };
  await writeFile(join(directory, 'secrets.json'), JSON.stringify(secrets), { mode: 0o600 });
  await log.attack(`alter role ${loginOf('ledger')} password '${secrets.logins['ledger']}'`);
  await log.attack(`alter role postgres password '${secrets.superuser}'`);
});
afterAll(async () => await log.stop());

async function firebreak(args: readonly string[], variables: Record<string, string> = {}) {
  const options = { cwd: directory, env: { ...process.env, ...variables } };
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [launcher, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

const own = ['--data', '.', '--no-people'];

/** While `firebreak dev` holds the directory, or after it has let go of it. */
async function whileRunning<T>(work: () => Promise<T>): Promise<T> {
  const lock = await lockDataDirectory(directory);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

describe('ledger verify', () => {
  test('says which log holds, on a directory in use', async () => {
    const { code, stdout } = await whileRunning(
      async () => await firebreak(['ledger', 'verify', ...own, '--json']),
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      valid: true,
      origin: 'firebreak.test/ledger',
      size: story.steps.size,
      unsequenced: 0,
    });
  });

  test('reads a database by its URL, with the trust that it is told', async () => {
    const trust = ['--trust', 'trust/keys.json', '--roots', log.database.pin];
    const [row] = await log.attack('select 1');
    expect(row).toBeDefined();
    const secrets: unknown = JSON.parse(await readFile(join(directory, 'secrets.json'), 'utf8'));
    const { ledger } = (secrets as { logins: Record<string, string> }).logins; // Written above.
    const url = log.database.url('ledger').replace('the-ledger-of-a-test', ledger ?? '');
    const variables = { FIREBREAK_DATABASE_URL_LEDGER: url };
    expect((await firebreak(['ledger', 'verify', ...trust], variables)).stdout).toMatch(/^ledger holds/);
    const pinned = ['--trust', 'trust/keys.json', '--roots', 'A'.repeat(43)];
    const refused = await firebreak(['ledger', 'verify', ...pinned], variables);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/^CONFIG_INVALID: /) });
  });

  test('names the first breach of a log that was rewritten, and so does evidence', async () => {
    const [row] = await log.attack('select jws from firebreak.entry where leaf_index = 6');
    const jws = String(row?.['jws']);
    const set = async (text: string) =>
      await log.attack('update firebreak.entry set jws = $1 where leaf_index = 6', [text]);
    await set(`${jws.slice(0, -4)}AAAA`);
    await whileRunning(async () => {
      const json = await firebreak(['ledger', 'verify', ...own, '--json']);
      expect(json).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^LEDGER_INVALID: entry at leaf 6/),
      });
      expect(JSON.parse(json.stdout)).toMatchObject({
        valid: false,
        breach: { invariant: 'entry', leafIndex: 6, requestId: story.requestId },
      });
      const evidence = await firebreak(['evidence', story.requestId, ...own]);
      expect(evidence).toMatchObject({ code: 1, stderr: expect.stringMatching(/^LEDGER_INVALID: /) });
    });
    await set(jws);
  });

  test('holds voters against people, unless it is told not to', async () => {
    await whileRunning(async () => {
      const refused = await firebreak(['ledger', 'verify', '--data', '.', '--people', 'nowhere.toml']);
      expect(refused.stderr).toMatch(/^CONFIG_INVALID: /);
      const settings = (people: string) =>
        defaultSettings({ directory, port: 1, ports: domains.map(() => 1) }).replaceAll('alice', people);
      await writeFile(join(directory, 'strangers.toml'), settings('mallory'));
      const judged = await firebreak(['ledger', 'verify', '--data', '.', '--people', 'strangers.toml']);
      expect(judged).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^LEDGER_INVALID: S1 at leaf 9 /),
      });
    });
  });

  test('starts the database for its time when nobody runs, and ends it again', async () => {
    await log.database.stopServer();
    const { code, stdout } = await firebreak(['ledger', 'verify', ...own]);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^ledger holds: firebreak.test\/ledger\nsize 13, /),
    ]);
    const again = await firebreak(['ledger', 'verify', ...own]);
    expect(again.code).toBe(0);
  });

  test('refuses a directory without a database, and makes none there', async () => {
    await mkdir(join(directory, 'empty', 'trust'), { recursive: true });
    await writeFile(join(directory, 'empty', 'trust', 'keys.json'), log.database.manifest);
    await writeFile(join(directory, 'empty', 'trust', 'pin'), log.database.pin);
    const refused = await firebreak(['ledger', 'verify', '--data', 'empty', '--no-people']);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^CONFIG_INVALID: .*no database/),
    });
  });
});

describe('evidence', () => {
  test('is written, verified and told, sentence by sentence', async () => {
    const told = await firebreak(['evidence', story.requestId, ...own, '--out', 'e.json']);
    expect(told.code).toBe(0);
    expect(told.stdout).toMatch(/\[6\] .* people: mia voted approve on digest/);
    expect(told.stdout).toMatch(/13 entries verified, in e.json/);
    const file: unknown = JSON.parse(await readFile(join(directory, 'e.json'), 'utf8'));
    expect(file).toMatchObject({ format: 'firebreak-evidence', version: 1, requestId: story.requestId });
  });

  test('of a request that nobody made is refused, and no id reaches beyond this folder', async () => {
    expect((await firebreak(['evidence', 'req_none', ...own])).stderr).toMatch(/^UNKNOWN_REQUEST: /);
    expect((await firebreak(['evidence', '../x', ...own])).code).toBe(1);
  });
});
