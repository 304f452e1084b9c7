import { Argument, type Command } from 'commander';
import { domains } from '../domains.ts';

/** `firebreak up DOMAIN`: one domain as this process, by its environment, until SIGTERM. */
const NOTES = `
It reads FIREBREAK_CONFIG, FIREBREAK_KEYS, FIREBREAK_KEY_MANIFEST, FIREBREAK_ACTION_MANIFEST, FIREBREAK_ROOTS and
FIREBREAK_DATABASE_URL_<DOMAIN>; some domains also TEMPORAL_*, SLACK_* or FIREBREAK_TARGET_URL_<TARGET>. Every secret
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
