import type { RateLimit } from "../../api/types";
import { count } from "../../time/format";
import { spellSpan } from "../../time/span";

/** `100 in 1m`. */
export function spellLimit({ count: many, per }: Pick<RateLimit, "count" | "per">): string {
  return `${count(many)} in ${spellSpan(per)}`;
}
