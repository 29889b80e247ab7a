import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env.LEVERET_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  // Addresses relative to the file they are in: the server says at which path it is.
  base: "./",
  build: {
    outDir: "../leveret_api/static",
    emptyOutDir: true,
    target: "es2023",
    // The server's content security policy allows files of our own origin only: no data: addresses, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    port: 5173,
    proxy: {
      "/api": { target: api },
      "/openapi.json": { target: api },
      "/docs": { target: api },
      "/socket.io": { target: api, ws: true },
    },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
  },
});
