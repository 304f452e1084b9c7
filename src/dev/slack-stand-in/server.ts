import type { FastifyInstance } from 'fastify';
import { ChannelStore, MESSAGES_MAX } from './channel-store.ts';
import { Faults } from './faults.ts';
import { LiveChanges } from './live-changes.ts';
import { registerPage } from './page.ts';
import type { StandIn } from './stand-in.ts';
import { openStateFile } from './state-file.ts';
import { registerWebApi } from './web-api.ts';
import { Windows } from './windows.ts';
import { accountsOf, type SlackStandInOptions } from './workspace.ts';

/**
 * A stand-in for Slack, for development and tests: the Web API methods that our door uses, interactions signed as
 * Slack signs them, and a page with working buttons, so that Bolt itself runs. It protects nothing: whoever reaches
 * its page clicks as anybody, and it takes this machine's own pages and scripts alone.
 */
export type SlackStandIn = {
  /** Ends the pages' streams, so that the server can close. */
  close(): Promise<void>;
};

export function registerSlackStandIn(server: FastifyInstance, options: SlackStandInOptions): SlackStandIn {
  const { clock = () => Date.now() } = options;
  const live = new LiveChanges();
  const changed = () => live.tell();
  const standIn: StandIn = {
    options,
    accounts: accountsOf(options.people),
    store: new ChannelStore({
      file: openStateFile(options.stateFile, MESSAGES_MAX),
      team: options.team,
      clock,
      changed,
    }),
    windows: new Windows({ clock, changed }),
    clock,
  };
  const faults = new Faults();
  void server.register(async (scope) => registerWebApi(scope, standIn, faults));
  void server.register(async (scope) => {
    registerPage(scope, { standIn, faults, changes: live });
    scope.addHook('preClose', async () => live.close());
  });
  return { close: async () => live.close() };
}
