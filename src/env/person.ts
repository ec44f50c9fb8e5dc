/**
 * Who a principal is. One person may have several keys: `alice/laptop` and `alice/phone` are both of alice, and what two people have to agree on, two keys of one person do not. A name without a slash is a person
 * (or a service) by itself. The database decides by the same rule (`person_of`), and so does whatever two people have to agree on: policies, approvals, halts, resolutions, the desk.
 */

/** @returns what stands before the first slash, in lower case. */
export function personOf(principal: string): string {
  const [person = ''] = principal.split('/', 1);
  return person.toLowerCase();
}
