/**
 * What makes an RSA key unfit for RS256 although it parses (NIST SP 800-131A, FIPS 186-5 A.1.1, CVE-2017-15361).
 */
const BITS_MIN = 2_048;
const EXPONENT_MIN = 65_537n;

/** @returns why signatures by this key prove nothing, or undefined. */
export function weaknessOf({ n, e }: { n: string; e: string }): string | undefined {
  const modulus = numberOf(n);
  const exponent = numberOf(e);
  if (modulus.toString(2).length < BITS_MIN) return `expected RSA keys of ${BITS_MIN} bits or more`;
  // With exponent 1 every message is its own signature.
  if (exponent < EXPONENT_MIN || exponent % 2n === 0n) {
    return `expected an odd exponent of ${EXPONENT_MIN} or more`;
  }
  if (isRoca(modulus)) return 'key is of the kind whose factors can be found (CVE-2017-15361)';
  return undefined;
}

function numberOf(base64url: string): bigint {
  return BigInt(`0x${Buffer.from(base64url, 'base64url').toString('hex') || '0'}`);
}

/** The published fingerprint: modulo each of these primes, the modulus is a power of 65537. */
const ROCA_PRIMES = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].map(BigInt);

function isRoca(modulus: bigint): boolean {
  return ROCA_PRIMES.every((prime) => isPowerOf(65_537n, modulus % prime, prime));
}

function isPowerOf(base: bigint, value: bigint, modulus: bigint): boolean {
  for (let exponent = 0n, power = 1n; exponent < modulus; exponent += 1n) {
    if (power === value) return true;
    power = (power * base) % modulus;
  }
  return false;
}
