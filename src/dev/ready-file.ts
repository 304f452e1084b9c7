import { rm } from 'node:fs/promises';
import type { Domain } from '../domains.ts';
import { replaceFile } from './private-file.ts';

/** What scripts need of a running `firebreak dev`. It names files with secrets and holds none. */
export type Ready = {
  origin: string;
  /** The page of the Slack stand-in. */
  slack: string;
  ledger: string;
  /** The key file of the first agent of the development issuer, for `firebreak session open --ready-file`. */
  workloadKey?: string;
  /** Every agent's key file. */
  agents: Record<string, string>;
  pids: Record<string, number>;
  addresses: Record<Domain | 'temporal', string>;
  /** The data directory. */
  data: string;
};

/** Writes follow each other, and the last one asked for wins. */
export class ReadyFiles {
  readonly #files: readonly string[];
  #turn: Promise<void> = Promise.resolve();

  constructor(files: readonly string[]) {
    this.#files = [...new Set(files)];
  }

  async write(ready: Ready): Promise<void> {
    const text = `${JSON.stringify(ready, undefined, 2)}\n`;
    await this.#inTurn(async (file) => await replaceFile(file, text, 0o600));
  }

  async remove(): Promise<void> {
    await this.#inTurn(async (file) => await rm(file, { force: true }));
  }

  async #inTurn(work: (file: string) => Promise<void>): Promise<void> {
    const turn = this.#turn.then(async () => {
      for (const file of this.#files) await work(file);
    });
    this.#turn = turn.catch(() => undefined);
    await turn;
  }
}
