/**
 * Keeps labels from growing without bound. Codes come from participants, registries and signers too; each new value would be a series for ever, in our memory and in that of whoever scrapes us.
 */
const VALUES_MAX = 64; // Ten times what a process meets in a bad week.
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** @returns the code, or `OTHER` where it is none or there are too many already. */
export type LabelLimit = (code: string) => string;

export function createLabelLimit(): LabelLimit {
  const known = new Set<string>();
  return (code) => {
    if (known.has(code)) return code;
    if (!CODE.test(code) || known.size >= VALUES_MAX) return 'OTHER';
    known.add(code);
    return code;
  };
}
