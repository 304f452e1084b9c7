/** One JSON object for programs, or lines for people. */
export function print(asJson: boolean, value: object, lines: readonly string[]): void {
  process.stdout.write(asJson ? `${JSON.stringify(value)}\n` : `${lines.join('\n')}\n`);
}

export function printError(code: string, message: string): void {
  process.stderr.write(`${code}: ${message}\n`);
}

/** Text from elsewhere cannot move the cursor or hide behind invisible characters. */
export function visible(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}
