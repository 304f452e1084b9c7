/** Slack's no: HTTP 200 with `{ok: false, error}`, and what exactly is wrong where Slack says it. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly error: string;
  readonly messages: readonly string[];

  constructor(error: string, messages: readonly string[] = []) {
    super(error);
    this.error = error;
    this.messages = messages;
  }
}
