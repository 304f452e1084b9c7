import type { Log } from '../../log.ts';

/** Who and what there is in the workspace that the stand-in plays. */
export type Channel = { id: string; name: string };

/** `slack` is `TEAM/USER`; a team other than the workspace's own makes a guest of a shared channel. */
export type Person = { id: string; name: string; slack: string };

export type Account = { user: string; team: string; name: string; username: string };

export type SlackStandInOptions = {
  /** Path of the page, e.g. `/slack-stand-in`; the Web API is at `api/` under it. */
  prefix: string;
  botToken: string;
  signingSecret: string;
  /** Where the app wants its interactions, e.g. `…/slack/events`. */
  eventsUrl: string;
  team: string;
  channels: readonly Channel[];
  people: readonly Person[];
  /** Messages are kept here, so that a restart keeps the channel. */
  stateFile: string;
  log: Log;
  /** Milliseconds since the epoch. */
  clock?: () => number;
};

/** The installed app, with ids of Slack's form. */
export const app = { id: 'A0STANDIN', bot: 'B0STANDIN', user: 'U0STANDIN', name: 'Firebreak' } as const;

export function accountsOf(people: readonly Person[]): Account[] {
  return people.map(({ id, name, slack }) => {
    const [team = '', user = ''] = slack.split('/');
    return { user, team, name, username: id };
  });
}
