/**
 * False-alarm rates that a hold-out can guarantee.
 *
 * With n held-out normal images a p-value is one of 1/(n+1), 2/(n+1), ..., and flagging the k
 * smallest of them raises false alarms at a rate of at most k/(n+1). So the verdict at every such
 * rate follows from the p-value alone, and no other rate means anything. Which k a slider offers is the
 * service's word (`ranks`).
 */

/** The place among the ranks offered that is next to a wanted rate from below (or the first). */
export function placeOfRate(rate, heldOut, ranks) {
  const wanted = Math.floor(rate * (heldOut + 1) + 1e-9);
  return Math.max(0, ranks.findLastIndex((rank) => rank <= wanted));
}

/** The k of a p-value, from 1. */
export function rankOf(pValue, heldOut) {
  return Math.round(pValue * (heldOut + 1));
}
