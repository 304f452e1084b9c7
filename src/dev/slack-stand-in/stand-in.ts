import type { ChannelStore } from './channel-store.ts';
import type { Windows } from './windows.ts';
import type { Account, SlackStandInOptions } from './workspace.ts';

/** What the parts of the stand-in share. */
export type StandIn = {
  options: SlackStandInOptions;
  accounts: readonly Account[];
  store: ChannelStore;
  windows: Windows;
  clock: () => number;
};
