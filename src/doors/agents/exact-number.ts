/**
 * Whether JavaScript holds a JSON number as written. Fractions round as everywhere (0.1 is 0.1), but no number may
 * turn into another integer, into infinity or into zero on its way to the digest.
 */
export function isExact(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) return false;
  if (!Number.isInteger(value)) return true;
  return decimalOf(literal) === decimalOf(value.toFixed(0));
}

/** Sign, digits without zeros at either end, and exponent: equal for equal numbers, however they are written. */
function decimalOf(literal: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(literal) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = withoutTrailingZeros(digits);
  if (significant === '') return '0';
  const scale = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${scale}`;
}

/** By hand: a pattern like `/0+$/` tries every run of zeros again, quadratic in a literal of 128 KiB. */
function withoutTrailingZeros(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits[end - 1] === '0') end -= 1;
  return digits.slice(0, end);
}
