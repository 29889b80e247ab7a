import { useNavigate, useRouter } from "@tanstack/react-router";
import { useCallback } from "react";

/**
 * How the filter of a list is changed: the changes are added to what the address holds by then, also when several come at once,
 * and the list begins at its first page. What a filter still says after its page was left changes nothing.
 */
export function useFilterChange<Filter extends object>(to: "/jobs" | "/occurrences" | "/dead-letters") {
  const router = useRouter();
  const navigate = useNavigate();
  return useCallback(
    (changes: Filter) => {
      if (router.latestLocation.pathname !== to) return;
      void navigate({
        to,
        search: (({ cursor: _, ...before }: Record<string, unknown>) => ({ ...before, ...changes })) as never,
        replace: true,
      });
    },
    [router, navigate, to],
  );
}
