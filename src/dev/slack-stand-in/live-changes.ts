import type { ServerResponse } from 'node:http';

/** Tells every open page that something changed; pages then ask what it is. */
const KEEP_ALIVE_MS = 20_000;

export class LiveChanges {
  readonly #pages = new Set<ServerResponse>();
  readonly #keepingAlive = setInterval(() => this.#write(': still here\n\n'), KEEP_ALIVE_MS).unref();

  follow(page: ServerResponse): void {
    page.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    page.write(': hello\n\n');
    this.#pages.add(page);
    page.on('close', () => this.#pages.delete(page));
  }

  tell(): void {
    this.#write('data: changed\n\n');
  }

  close(): void {
    clearInterval(this.#keepingAlive);
    for (const page of this.#pages) page.end();
  }

  #write(text: string): void {
    for (const page of this.#pages) page.write(text);
  }
}
