import { execFile } from 'node:child_process';
import { access, constants, mkdtemp, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { NODE_MAJOR_MIN, temporalCli } from '../../../toolchain.mjs';
import { childEnvironment } from '../bound-child.ts';
import { findLauncher } from '../postgres-launcher.ts';
import { temporalCliPath } from '../temporal-cli.ts';
import { examine, Fault, type Finding } from './finding.ts';

/** What the machine has to bring: a Node, Temporal's CLI, PostgreSQL's programs and a way to run them as this user. */
const TIMEOUT_MS = 20_000;

export async function examineMachine(directory: string, environment: NodeJS.ProcessEnv): Promise<Finding[]> {
  return await Promise.all([
    examine('node', 'install a newer Node', async () => checkNode(process.version)),
    examine('temporal', 'run npm run setup', async () => await checkTemporal(environment)),
    examine('postgresql', 'run npm run setup', async () => await checkPostgres(directory)),
  ]);
}

export function checkNode(version: string): string {
  if (Number(/^v(\d+)\./.exec(version)?.[1]) >= NODE_MAJOR_MIN) return version;
  throw new Fault(
    `${version} is older than ${NODE_MAJOR_MIN}`,
    `install Node ${NODE_MAJOR_MIN} or newer, or run npm run setup, which brings one`,
  );
}

async function checkTemporal(environment: NodeJS.ProcessEnv): Promise<string> {
  const { TEMPORAL_CLI, XDG_CACHE_HOME, HOME } = environment;
  const path = temporalCliPath({ TEMPORAL_CLI, XDG_CACHE_HOME, HOME });
  return checkTemporalVersion(await outputOf([path, '--version']), path);
}

export function checkTemporalVersion(said: string, path: string): string {
  const [, cli, server] = /temporal version (\d+\.\d+\.\d+) \(Server (\d+\.\d+\.\d+)/i.exec(said) ?? [];
  const todo = 'unset TEMPORAL_CLI and run npm run setup, which fetches the right one';
  if (cli === undefined || server === undefined) throw new Fault(`${path} did not say its version`, todo);
  if (isOlder(cli, temporalCli.version) || isOlder(server, temporalCli.serverVersion)) {
    const oldest = `${temporalCli.version} with server ${temporalCli.serverVersion}`;
    throw new Fault(`${path} is ${cli} with server ${server}; ${oldest} is the oldest that works`, todo);
  }
  return `CLI ${cli}, server ${server} (${path})`;
}

function isOlder(found: string, wanted: string): boolean {
  return found.localeCompare(wanted, 'en', { numeric: true }) < 0;
}

/** Beside the data directory, so that whoever has to pass there is seen to pass, and nothing of the data is touched. */
async function checkPostgres(directory: string): Promise<string> {
  const scratch = await mkdtemp(join(await nearestExisting(dirname(directory)), '.firebreak-doctor-'));
  try {
    const launcher = await findLauncher(scratch);
    const version = await outputOf(launcher.command('postgres', ['--version']));
    const { uid } = launcher.owner;
    return `${version.trim()}, run ${uid === process.getuid?.() ? 'as this user' : `as user ${uid}`}`;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The folder itself, or the one that it would be made in. */
export async function nearestExisting(directory: string): Promise<string> {
  const found = await stat(directory).catch(() => undefined);
  if (found === undefined && dirname(directory) !== directory)
    return await nearestExisting(dirname(directory));
  await access(directory, constants.W_OK | constants.X_OK).catch(() => {
    throw new Fault(`${directory} is not writable`, 'choose another directory with --data');
  });
  return directory;
}

async function outputOf([file = '', ...rest]: readonly string[]): Promise<string> {
  const options = { env: childEnvironment(), cwd: '/', timeout: TIMEOUT_MS };
  return (await promisify(execFile)(file, rest, options)).stdout;
}
