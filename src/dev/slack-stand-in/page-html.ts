import { decodeSlack, Html, html } from './html.ts';
import { type Message, microsOf } from './message.ts';
import { messageBlockHtml, viewBlockHtml } from './page-blocks.ts';
import type { StandIn } from './stand-in.ts';
import type { OpenWindow } from './windows.ts';
import { type Account, app, type Channel } from './workspace.ts';

/** The page as one person sees one channel. */
export type Seen = { standIn: StandIn; as: Account; channel: Channel };

export function pageHtml(seen: Seen, { style, script }: { style: string; script: string }): string {
  const { standIn, as, channel } = seen;
  const { prefix } = standIn.options;
  return `<!doctype html>${
    html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>#${channel.name} (Slack stand-in)</title>
<link rel="icon" href="data:,">
<style>${new Html(style)}</style>
</head>
<body data-prefix="${prefix}" data-as="${as.user}" data-channel="${channel.id}">
<p id="banner" role="note">Stand-in for Slack, for development. Nothing here reaches Slack, and whoever sees this page may click as anybody.</p>
<nav aria-label="Workspace">
<h1>Stand-in</h1>
<h2>Channels</h2>
${standIn.options.channels.map((each) => linkHtml(seen, { label: `# ${each.name}`, channel: each.id }))}
<h2>You are</h2>
${standIn.accounts.map((each) => linkHtml(seen, { label: nameOf(standIn, each), user: each.user }))}
</nav>
<main>
<header><h2># ${channel.name}</h2><p>You are <strong>${as.name}</strong>.</p></header>
<section id="messages" aria-label="Messages">${messagesHtml(seen)}</section>
</main>
<div id="windows">${windowsHtml(seen)}</div>
<dialog id="confirm" aria-labelledby="confirm-title">
<h3 id="confirm-title"></h3><p class="section"></p>
<div class="actions"><button type="button" value="deny"></button><button type="button" value="confirm" class="primary"></button></div>
</dialog>
<script>${new Html(script)}</script>
</body>
</html>`.text
  }`;
}

/** What changes while people look: the page's script takes both parts from it. */
export function fragmentHtml(seen: Seen): string {
  return html`<section id="messages">${messagesHtml(seen)}</section><div id="windows">${windowsHtml(seen)}</div>`
    .text;
}

function linkHtml(seen: Seen, to: { label: string; channel?: string; user?: string }): Html {
  const { channel = seen.channel.id, user = seen.as.user } = to;
  const current = channel === seen.channel.id && user === seen.as.user ? html` aria-current="true"` : null;
  const query = new URLSearchParams({ as: user, channel });
  return html`<a href="${seen.standIn.options.prefix}?${query.toString()}"${current}>${to.label}</a>
`;
}

function nameOf({ options }: StandIn, { name, team }: Account): string {
  return team === options.team ? name : `${name} (guest of ${team})`;
}

function messagesHtml({ standIn, as, channel }: Seen): Html[] {
  const { store } = standIn;
  const told = store.toldTo(as.user, channel.id);
  const all = [...store.inChannel(channel.id), ...told].sort(
    (left, right) => microsOf(left.ts) - microsOf(right.ts),
  );
  if (all.length === 0) return [html`<article id="m-none"><p>Nobody has written here yet.</p></article>`];
  return all.map((message) =>
    messageHtml(message, { isTold: told.includes(message), answers: store.inThread(channel.id, message.ts) }),
  );
}

function messageHtml(message: Message, { isTold, answers }: { isTold: boolean; answers: Message[] }): Html {
  const { ts, text, blocks } = message;
  const body =
    blocks.length === 0 ? [html`<p class="section">${decodeSlack(text)}</p>`] : blocks.map(messageBlockHtml);
  const time = `${new Date(microsOf(ts) / 1_000).toISOString().slice(11, 16)} UTC`;
  return html`<article id="m-${ts}" data-ts="${ts}" class="${isTold ? 'told' : 'message'}">
<div class="avatar" aria-hidden="true">F</div>
<div class="body">
<p class="by"><strong>${app.name}</strong> <small class="badge">APP</small> <time>${time}</time></p>
${isTold ? html`<p class="context">👁 Only visible to you</p>` : null}
${body}
${answers.length === 0 ? null : threadHtml(answers)}
</div>
</article>`;
}

function threadHtml(answers: readonly Message[]): Html {
  return html`<section class="thread" aria-label="Thread">
<p class="context">${answers.length === 1 ? '1 reply' : `${answers.length} replies`}</p>
${answers.map((answer) => messageHtml(answer, { isTold: false, answers: [] }))}
</section>`;
}

function windowsHtml({ standIn, as }: Seen): Html[] {
  return standIn.windows.openFor(as.user).map(windowHtml);
}

function windowHtml({ id, view }: OpenWindow): Html {
  return html`<dialog id="w-${id}" data-view="${id}" aria-label="${decodeSlack(view.title.text)}"><form>
<h3>${decodeSlack(view.title.text)}</h3>
${view.blocks.map(viewBlockHtml)}
<p class="warning" role="alert"></p>
<div class="actions"><button type="button" value="close">${decodeSlack(view.close?.text ?? 'Cancel')}</button><button type="submit" class="primary">${decodeSlack(view.submit?.text ?? 'Submit')}</button></div>
</form></dialog>`;
}
