import { join, resolve } from 'node:path';
import type { Domain } from '../domains.ts';

/** Where everything of one `firebreak dev` stands. The user owns `firebreak.toml`; the rest is made for it. */
export type DataDirectory = ReturnType<typeof dataDirectory>;

export function dataDirectory(directory: string) {
  const root = resolve(directory);
  const at = (...parts: string[]) => join(root, ...parts);
  return {
    root,
    /** The user's own settings: made once, read ever after, never rewritten. */
    settings: at('firebreak.toml'),
    /** What the processes of this run read: the same settings with this run's ports and absolute paths. */
    runSettings: at('run', 'firebreak.toml'),
    /** Names the point at which a process dies, for tests: see `src/crash-point.ts`. */
    crash: at('run', 'crash'),
    /** Passwords of logins, Slack's token and secret. */
    secrets: at('secrets.json'),
    keys: (issuer: Domain | 'root' | 'workload') => at('keys', issuer),
    keyManifest: at('trust', 'keys.json'),
    /** The pinned hash of the roots; in production each domain's own environment holds it. */
    pin: at('trust', 'pin'),
    actionManifest: at('trust', 'actions.json'),
    issuer: at('trust', 'issuer.jwks'),
    agent: (agent: string) => at('agents', `${agent}.json`),
    /** An input to try: the demo's. */
    example: at('input.json'),
    /** The logins at a target of the user's own. */
    target: (name: string) => at('targets', `${name}.json`),
    temporal: at('temporal.db'),
    slack: at('slack-stand-in.jsonl'),
    log: (name: string) => at('logs', `${name}.log`),
    ready: at('ready.json'),
  };
}
