/**
 * Of a list in order as many as a chart can show: every so manieth, and always the last, which says how
 * things are now, and the one at `present`.
 */
export function thin<T>(list: readonly T[], limit: number, present = -1): readonly T[] {
  if (list.length <= limit) return list;
  const every = Math.ceil(list.length / limit);
  const last = list.length - 1;
  return list.filter((_, i) => i % every === 0 || i === last || i === present);
}
