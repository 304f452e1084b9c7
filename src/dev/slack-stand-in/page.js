// The page's own script: it sends what people do, and takes what changed from the server as ready HTML.
const { prefix, as, channel } = document.body.dataset;
const messages = document.getElementById('messages');
const windows = document.getElementById('windows');
const shown = new Map([...messages.children].map((article) => [article.id, article.outerHTML]));

async function send(path, body) {
  const response = await fetch(`${prefix}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return await response.json();
}

function sentenceOf(answer) {
  if (answer.ok === true) return '';
  if (answer.late === true) return '⚠ The app did not answer within 3 seconds.';
  const what = answer.code ?? answer.status ?? 'nothing';
  return `⚠ The app did not take this (${what}).`;
}

/** Articles that have not changed keep their place, their focus and their warnings. */
function showMessages(fresh) {
  const ids = new Set([...fresh.children].map(({ id }) => id));
  for (const article of messages.querySelectorAll(':scope > *')) if (!ids.has(article.id)) article.remove();
  [...fresh.children].forEach((article, at) => {
    const old = document.getElementById(article.id);
    const source = article.outerHTML;
    if (old !== null && shown.get(article.id) === source) return;
    shown.set(article.id, source);
    if (old === null) messages.insertBefore(article, messages.children[at] ?? null);
    else old.replaceWith(article);
  });
}

function showWindows(fresh) {
  const ids = new Set([...fresh.children].map(({ id }) => id));
  for (const dialog of windows.querySelectorAll(':scope > *')) if (!ids.has(dialog.id)) dialog.remove();
  for (const dialog of fresh.querySelectorAll(':scope > *')) {
    if (document.getElementById(dialog.id) === null) openWindow(windows.appendChild(dialog));
  }
}

function openWindow(dialog) {
  const view = dialog.dataset.view;
  const form = dialog.querySelector('form');
  const dismiss = () => void send('dismiss', { view, user: as });
  dialog.addEventListener('cancel', dismiss);
  form.querySelector('button[value=close]').addEventListener('click', dismiss);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submitForm(form, view);
  });
  dialog.showModal();
}

async function submitForm(form, view) {
  const button = form.querySelector('button[type=submit]');
  button.disabled = true;
  const answer = await send('submit', { view, user: as, values: Object.fromEntries(new FormData(form)) });
  button.disabled = false;
  form.querySelector('.warning').textContent = sentenceOf(answer);
}

let refreshing = false;
let again = false;
async function refresh() {
  again = true;
  if (refreshing) return;
  refreshing = true;
  while (again) {
    again = false;
    const query = new URLSearchParams({ as, channel });
    const response = await fetch(`${prefix}/fragment?${query}`);
    const fresh = new DOMParser().parseFromString(await response.text(), 'text/html');
    const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80;
    showMessages(fresh.getElementById('messages'));
    showWindows(fresh.getElementById('windows'));
    if (atEnd) messages.scrollTop = messages.scrollHeight;
  }
  refreshing = false;
}

const confirmation = document.getElementById('confirm');
for (const button of confirmation.querySelectorAll('button')) {
  button.addEventListener('click', () => confirmation.close(button.value));
}

/** Slack's second question, where the button has one. Escape is a no. */
async function isConfirmed({ title, text, confirm, deny }) {
  if (title === undefined) return true;
  confirmation.querySelector('h3').textContent = title;
  confirmation.querySelector('p').textContent = text;
  confirmation.querySelector('button[value=confirm]').textContent = confirm;
  confirmation.querySelector('button[value=deny]').textContent = deny;
  confirmation.returnValue = '';
  confirmation.showModal();
  await new Promise((resolve) => confirmation.addEventListener('close', resolve, { once: true }));
  return confirmation.returnValue === 'confirm';
}

async function press(button) {
  if (!(await isConfirmed(button.dataset))) return;
  const { action, value } = button.dataset;
  const chosen = value === '' ? {} : { value };
  const message = button.closest('article').dataset.ts;
  button.disabled = true;
  const answer = await send('click', { channel, message, action_id: action, user: as, ...chosen });
  button.disabled = false;
  warn(button.parentElement, sentenceOf(answer));
}

function warn(place, sentence) {
  const old = place.querySelector('.warning');
  const warning = old ?? Object.assign(document.createElement('span'), { className: 'warning' });
  warning.setAttribute('role', 'alert');
  place.append(warning);
  warning.textContent = sentence;
}

messages.addEventListener('click', ({ target }) => {
  const button = target.closest('button[data-action]');
  if (button !== null) void press(button);
});

for (const dialog of windows.children) openWindow(dialog);
messages.scrollTop = messages.scrollHeight;
const changes = new EventSource(`${prefix}/changes`);
changes.addEventListener('message', () => void refresh());
changes.addEventListener('open', () => void refresh());
