// First, because it sets the order of the cascade layers.
import "./styles/base.css";

import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { isLasting } from "./api/client";
import { makeRouter } from "./app/router";
import { Live, LiveProvider } from "./live/live";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 2 && !isLasting(error),
      retryDelay: (failures) => Math.min(1_000 * 2 ** failures, 5_000),
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});
const router = makeRouter(client);
const live = new Live(client);

const place = document.getElementById("root");
if (!place) throw new Error("the page has no #root");
createRoot(place).render(
  <StrictMode>
    {/* The content security policy forbids style elements made by scripts. */}
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={client}>
        <LiveProvider value={live}>
          <RouterProvider router={router} />
        </LiveProvider>
      </QueryClientProvider>
    </CSPProvider>
  </StrictMode>,
);
