import { Argument, type Command } from 'commander';
import { domains } from '../domains.ts';

/** `firebreak up DOMAIN`: one domain as this process, by its environment, until SIGTERM. */
const NOTES = `
It reads FIREBREAK_CONFIG, FIREBREAK_KEYS, FIREBREAK_KEY_MANIFEST, FIREBREAK_ACTION_MANIFEST, FIREBREAK_ROOTS and
FIREBREAK_DATABASE_URL_<DOMAIN>. Besides: gateway, people, orchestrator, planner and executor TEMPORAL_*; people SLACK_*;
planner and executor FIREBREAK_TARGET_URL_<TARGET>, each its own login; credentials FIREBREAK_CREDENTIALS_DATABASE_URL.
FIREBREAK_LISTEN=host:port where the domain's address in the settings is not this machine's own. Every variable of ours
may come as NAME_FILE, the path of a file that holds it. What is missing is named, and nothing starts.

Example: FIREBREAK_KEYS=/etc/firebreak/gate … firebreak up gate`;

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('run one domain in this process, by its environment, until SIGTERM')
    .addArgument(new Argument('<domain>', 'which one').choices(domains))
    .addHelpText('after', NOTES)
    .action(async (domain: string) => {
      await import(`../main/${domain}.ts`);
    });
}
