import { request } from "./client";
import type { Job, JobDefinition, JsonObject, Occurrence } from "./types";

/** A key for one press of a button, so that a repeated request starts nothing twice. Works without a secure context too. */
function onePress(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");
}

const job = (id: number) => `/jobs/${id}`;
const occurrence = (id: number) => `/occurrences/${id}`;

/** Everything that is changed. */
export const commands = {
  createJob: (definition: Partial<JobDefinition>) => request<Job>("/jobs", { method: "POST", body: definition }),

  /** Refused when the job is no longer at `version`: somebody else changed it meanwhile. */
  changeJob: (id: number, version: number, changes: Partial<JobDefinition>) =>
    request<Job>(job(id), { method: "PATCH", body: { ...changes, version } }),

  deleteJob: (id: number) => request<void>(job(id), { method: "DELETE" }),

  triggerJob: (id: number, payload?: JsonObject) =>
    request<Occurrence>(`${job(id)}/trigger`, {
      method: "POST",
      body: payload === undefined ? {} : { payload },
      headers: { "idempotency-key": onePress() },
    }),

  pauseJob: (id: number, reason: string) =>
    request<Job>(`${job(id)}/pause`, { method: "POST", body: reason === "" ? {} : { reason } }),

  resumeJob: (id: number) => request<Job>(`${job(id)}/resume`, { method: "POST", body: {} }),

  cancel: (id: number, reason: string) =>
    request<Occurrence>(`${occurrence(id)}/cancel`, { method: "POST", body: reason === "" ? {} : { reason } }),

  requeue: (id: number, payload?: JsonObject) =>
    request<Occurrence>(`${occurrence(id)}/requeue`, {
      method: "POST",
      body: payload === undefined ? {} : { payload },
    }),
};
