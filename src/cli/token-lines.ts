/**
 * Standard input as whole lines, as many at a time as one chunk holds: a million of them take no memory, and who
 * types a line sees its answer. One byte is one character, so that bytes that are no ASCII stay visible to the
 * check of a token's form.
 * @param lengthMax a longer line is handed on cut to one character more, which is enough to refuse it.
 */
export async function* batchesOfLines(
  input: AsyncIterable<Uint8Array>,
  lengthMax: number,
): AsyncGenerator<string[]> {
  let rest = '';
  for await (const chunk of input) {
    const lines = `${rest}${Buffer.from(chunk).toString('latin1')}`.split('\n');
    rest = (lines.pop() ?? '').slice(0, lengthMax + 1);
    if (lines.length > 0) yield lines;
  }
  if (rest !== '') yield [rest];
}
