import { useQuery } from "@tanstack/react-query";
import type { JobType } from "../api/operations";
import { handlerOf } from "../api/patterns";
import { queries } from "../api/queries";

/** What live workers say of the handler that serves a type; undefined when none does, or while it is not known. */
export function useHandler(type: string): JobType | undefined {
  const types = useQuery(queries.types()).data?.items;
  return types && type !== "" ? handlerOf(type, types) : undefined;
}
