import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, createRouter } from "@tanstack/react-router";
import { queries } from "../api/queries";
import { BASE_PATH } from "./basePath";
import { lazyPage } from "./lazyPage";
import { NotFound } from "./NotFound";
import { PageFailed } from "./PageFailed";
import { Shell } from "./Shell";
import { deadLetterFilter, jobFilter, occurrenceFilter, parseSearch, stringifySearch } from "./search";

const root = createRootRouteWithContext<{ client: QueryClient }>()({ component: Shell, notFoundComponent: NotFound });

const overview = createRoute({
  getParentRoute: () => root,
  path: "/",
  loader: ({ context }) => void context.client.prefetchQuery(queries.overview()),
  component: lazyPage(async () => (await import("../pages/overview/OverviewPage")).OverviewPage),
});

const jobs = createRoute({
  getParentRoute: () => root,
  path: "/jobs",
  validateSearch: jobFilter,
  loaderDeps: ({ search }) => search,
  loader: ({ context, deps }) => void context.client.prefetchQuery(queries.jobs(deps)),
  component: lazyPage(async () => (await import("../pages/jobs/JobsPage")).JobsPage),
});

const job = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$id",
  loader: ({ context, params }) => void context.client.prefetchQuery(queries.job(params.id)),
  component: lazyPage(async () => (await import("../pages/jobs/JobPage")).JobPage),
});

const occurrences = createRoute({
  getParentRoute: () => root,
  path: "/occurrences",
  validateSearch: occurrenceFilter,
  loaderDeps: ({ search }) => search,
  loader: ({ context, deps }) => void context.client.prefetchQuery(queries.occurrences(deps)),
  component: lazyPage(async () => (await import("../pages/occurrences/OccurrencesPage")).OccurrencesPage),
});

const occurrence = createRoute({
  getParentRoute: () => root,
  path: "/occurrences/$id",
  loader: ({ context, params }) => void context.client.prefetchQuery(queries.occurrence(params.id)),
  component: lazyPage(async () => (await import("../pages/occurrences/OccurrencePage")).OccurrencePage),
});

const deadLetters = createRoute({
  getParentRoute: () => root,
  path: "/dead-letters",
  validateSearch: deadLetterFilter,
  loaderDeps: ({ search }) => search,
  loader: ({ context, deps }) => void context.client.prefetchQuery(queries.deadLetters(deps)),
  component: lazyPage(async () => (await import("../pages/dead/DeadLettersPage")).DeadLettersPage),
});

const limits = createRoute({
  getParentRoute: () => root,
  path: "/limits",
  loader: ({ context }) => void context.client.prefetchQuery(queries.rateLimits()),
  component: lazyPage(async () => (await import("../pages/limits/LimitsPage")).LimitsPage),
});

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  loader: ({ context }) => void context.client.prefetchQuery(queries.workers()),
  component: lazyPage(async () => (await import("../pages/workers/WorkersPage")).WorkersPage),
});

/** The pages and their addresses. */
export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree: root.addChildren([overview, jobs, job, occurrences, occurrence, deadLetters, workers, limits]),
    context: { client },
    basepath: BASE_PATH || "/",
    defaultErrorComponent: PageFailed,
    defaultPreload: "intent",
    defaultPreloadStaleTime: 0,
    scrollRestoration: true,
    parseSearch,
    stringifySearch,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
