import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, type WorkflowBundleOption } from '@temporalio/worker';

/** Everything that the workflow sandbox may import: a change in any of it makes another bundle. */
const SOURCE_ROOTS = ['../../workflows/', '../../src/action/', '../../src/quorum/', '../../src/temporal/'];
const SOURCE_FILES = ['../../package-lock.json', '../../src/refusal.ts', '../../src/canonical.ts'];

/**
 * The workflow bundle, cached by the hash of its sources: bundling takes over a second, reading it none.
 * The cache is the user's own folder of mode 0700; whoever can write there is that user already.
 */
export async function workflowBundle(workflows: string): Promise<WorkflowBundleOption> {
  const directory = join(tmpdir(), `firebreak-bundles-${process.getuid?.() ?? 'user'}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const codePath = join(directory, `${await hashOfSources()}.js`);
  if (await exists(codePath)) return { codePath };
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(workflows, 'index.ts'),
    workflowInterceptorModules: [join(workflows, 'interceptors.ts')],
    failureConverterPath: fileURLToPath(new URL('./failure-converter.ts', import.meta.url)),
    logger: silent,
  });
  // Two starters at once each write a file of their own and rename it: a reader never sees half of one.
  const draft = `${codePath}.${process.pid}`;
  await writeFile(draft, code, { mode: 0o600 });
  await rename(draft, codePath);
  return { codePath };
}

const quiet = () => undefined;
const silent = { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: quiet, error: console.error };

async function hashOfSources(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await sourceFiles()) hash.update(file).update(await readFile(file));
  return hash.digest('base64url');
}

async function sourceFiles(): Promise<string[]> {
  const files = SOURCE_FILES.map((file) => fileURLToPath(new URL(file, import.meta.url)));
  for (const root of SOURCE_ROOTS.map((file) => fileURLToPath(new URL(file, import.meta.url)))) {
    const names = await readdir(root, { recursive: true });
    files.push(...names.filter((name) => name.endsWith('.ts')).map((name) => join(root, name)));
  }
  return files.sort();
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await readFile(file)).length > 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
