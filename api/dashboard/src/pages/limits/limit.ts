import type { RateLimit } from "../../api/operations";
import { count } from "../../time/format";
import { spellSpan } from "../../time/span";

/** `100 in 1m`, `5 in 1s for each customer.id`. */
export function spellLimit({ count: many, per, key }: Omit<RateLimit, "type">): string {
  return `${count(many)} in ${spellSpan(per)}${key === undefined ? "" : ` for each ${key}`}`;
}
