import type { JobType } from "./operations";
import type { Worker } from "./types";

/** Whether a handler's pattern serves a type, as the broker's topic exchange decides: `*` is one word, `#` any number of them. */
export function serves(pattern: string, type: string): boolean {
  return matches(pattern.split("."), type.split("."));
}

function matches(pattern: readonly string[], words: readonly string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return words.length === 0;
  if (head === "#") return matches(rest, words) || (words.length > 0 && matches(pattern, words.slice(1)));
  return words.length > 0 && (head === "*" || head === words[0]) && matches(rest, words.slice(1));
}

/** The types among these that no live worker serves. */
export function unserved(types: Iterable<string>, workers: readonly Worker[]): string[] {
  const patterns = workers
    .filter((worker) => worker.state === "alive")
    .flatMap((worker) => worker.handlers.map((each) => each.pattern));
  return [...new Set(types)].filter((type) => !patterns.some((pattern) => serves(pattern, type)));
}

/** Of what serves a type, that with the narrowest pattern: fewest `#`, then fewest `*`, then most words. */
export function handlerOf(type: string, types: readonly JobType[]): JobType | undefined {
  const width = ({ pattern }: JobType) =>
    pattern.split(".").reduce((total, word) => total + (word === "#" ? 10_000 : word === "*" ? 100 : -1), 0);
  return types.filter((each) => serves(each.pattern, type)).sort((one, other) => width(one) - width(other))[0];
}
