import type { Button, Input, MessageBlock, ViewBlock } from './blocks.ts';
import { decodeSlack, type Html, html } from './html.ts';

/** Blocks as HTML. Every text is shown as it is: mrkdwn too is source, because no link here may lead anywhere. */
export function messageBlockHtml(block: MessageBlock): Html {
  switch (block.type) {
    case 'header':
      return html`<h3>${decodeSlack(block.text.text)}</h3>`;
    case 'divider':
      return html`<hr>`;
    case 'section':
      return html`<p class="section">${decodeSlack(block.text.text)}</p>`;
    case 'context':
      return html`<p class="context">${block.elements.map(({ text }) => html`<span>${decodeSlack(text)}</span>`)}</p>`;
    case 'actions':
      return html`<div class="actions">${block.elements.map(buttonHtml)}</div>`;
  }
}

function buttonHtml({ action_id, value, style, text, confirm }: Button): Html {
  const asked =
    confirm === undefined
      ? null
      : html` data-title="${decodeSlack(confirm.title.text)}" data-text="${decodeSlack(confirm.text.text)}" data-confirm="${decodeSlack(confirm.confirm.text)}" data-deny="${decodeSlack(confirm.deny.text)}"`;
  return html`<button type="button" class="${style ?? 'plain'}" data-action="${action_id}" data-value="${value ?? ''}"${asked}>${decodeSlack(text.text)}</button>`;
}

export function viewBlockHtml(block: ViewBlock): Html {
  return block.type === 'input' ? inputHtml(block) : messageBlockHtml(block);
}

function inputHtml({ label, optional, element }: Input): Html {
  const may = optional === true ? html` <em>(optional)</em>` : null;
  return html`<label><span>${decodeSlack(label.text)}${may}</span>${fieldHtml(element, optional === true)}</label>`;
}

function fieldHtml(element: Input['element'], optional: boolean): Html {
  const must = optional ? null : html` required`;
  if (element.type === 'static_select') {
    const options = element.options.map(
      ({ text, value }) => html`<option value="${value}">${decodeSlack(text.text)}</option>`,
    );
    return html`<select name="${element.action_id}"${must}><option value="">Select an item</option>${options}</select>`;
  }
  const { action_id, max_length, multiline } = element;
  return multiline === true
    ? html`<textarea name="${action_id}" rows="4" maxlength="${max_length ?? 3_000}"${must}></textarea>`
    : html`<input name="${action_id}" maxlength="${max_length ?? 3_000}"${must}>`;
}
