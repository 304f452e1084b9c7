import { namesText } from './card.ts';
import { visible } from './visible.ts';

/** What has become of a card: changes as votes and outcomes come in, never what was asked. */
export type CardState =
  | { kind: 'waiting'; approvedBy: readonly string[]; needed: number; stillAsked: readonly string[] }
  /** Enough votes, not yet performed. */
  | { kind: 'approved'; approvedBy: readonly string[] }
  | { kind: 'denied'; by: string; reason: string | null }
  /** The request goes on with another card. */
  | { kind: 'replaced' }
  | { kind: 'expired' }
  | {
      kind: 'ended';
      state: 'done' | 'denied' | 'expired' | 'cancelled' | 'failed' | 'indeterminate';
      detail: string;
    };

/** The sentence that says where a request stands. */
export function stateText(state: CardState): string {
  switch (state.kind) {
    case 'waiting':
      return waitingText(state);
    case 'approved':
      return `✅ Approved by ${namesText(state.approvedBy)}; it runs now.`;
    case 'denied':
      return `❌ Denied by ${state.by}${state.reason === null ? '' : `: ${wordsText(state.reason)}`}.`;
    case 'replaced':
      return '🔁 The request has changed. A newer card stands in this channel; this one counts no more.';
    case 'expired':
      return '⌛ Expired: nobody decided in time. This is not a denial.';
    case 'ended':
      return endedText(state);
  }
}

/** Whether people can still answer. */
export function takesVotes(state: CardState): boolean {
  return state.kind === 'waiting';
}

function waitingText({ approvedBy, needed, stillAsked }: Extract<CardState, { kind: 'waiting' }>): string {
  const have = approvedBy.length;
  const votes = have === 0 ? 'Nobody has approved yet' : `Approved so far by ${namesText(approvedBy)}`;
  return `⏳ ${votes} (${have} of ${needed}). Still asked: ${namesText(stillAsked)}.`;
}

function endedText({ state, detail }: Extract<CardState, { kind: 'ended' }>): string {
  const more = detail === '' ? '' : `: ${wordsText(detail)}`;
  switch (state) {
    case 'done':
      return `✅ Done${more}.`;
    case 'denied':
      return `❌ Denied${more}. Nothing was changed.`;
    case 'expired':
      return '⌛ Expired: nobody decided in time. Nothing was changed; this is not a denial.';
    case 'cancelled':
      return '🚫 Cancelled. Nothing was changed.';
    case 'failed':
      return `⚠ Failed${more}. The target did not do it.`;
    case 'indeterminate':
      return `❓ Unknown${more}. It may have been done; nothing is repeated, and a person must look at the target.`;
  }
}

/** Somebody's own words may grow tenfold when they are made visible: too long, they are left out and not cut. */
const WORDS_MAX = 500;

function wordsText(words: string): string {
  const text = visible(words);
  return text.length <= WORDS_MAX ? text : `(${words.length} characters, too long to show here)`;
}
