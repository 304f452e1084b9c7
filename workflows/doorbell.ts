/** Remembers that somebody rang since the last time it was heard; how often does not matter. */
export class Doorbell {
  #rung = false;

  ring(): void {
    this.#rung = true;
  }

  /** True once for any number of rings. */
  heard(): boolean {
    const rung = this.#rung;
    this.#rung = false;
    return rung;
  }
}
