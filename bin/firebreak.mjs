#!/usr/bin/env node
// Runs the command line on a Node that strips types: this one, or the one that `npm ci` pinned in node_modules.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import('../src/cli/firebreak.ts');
} else {
  const node = path('../node_modules/.bin/node');
  const child = spawn(node, [path('../src/cli/firebreak.ts'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', () => {
    console.error('firebreak needs Node 24 or newer; `npm ci` in its folder brings one');
    process.exitCode = 1;
  });
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}
