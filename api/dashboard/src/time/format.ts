const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A duration in the two largest units that matter: `840 ms`, `12.4 s`, `3 m 20 s`, `2 h 5 m`, `4 d 3 h`. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return pair(ms, MINUTE, "m", SECOND, "s");
  if (ms < DAY) return pair(ms, HOUR, "h", MINUTE, "m");
  return pair(ms, DAY, "d", HOUR, "h");
}

function pair(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  return rest === 0
    ? `${Math.floor(ms / large)} ${largeName}`
    : `${Math.floor(ms / large)} ${largeName} ${rest} ${smallName}`;
}

/** How long ago or how soon, in one unit: `12 s ago`, `in 5 m`, `now`. */
export function relative(at: number, now: number): string {
  const distance = Math.abs(at - now);
  if (distance < 1.5 * SECOND) return "now";
  const text =
    distance < 59.5 * SECOND
      ? `${Math.round(distance / SECOND)} s`
      : distance < 59.5 * MINUTE
        ? `${Math.round(distance / MINUTE)} m`
        : distance < 48 * HOUR
          ? `${Math.round(distance / HOUR)} h`
          : `${Math.round(distance / DAY)} d`;
  return at > now ? `in ${text}` : `${text} ago`;
}

const local = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** The instant on the reader's own clock, with the zone. */
export function localTime(at: number): string {
  return local.format(at);
}

/** Only the day, on the reader's own clock: `Sun 22 Nov`. */
export function dayOf(at: number): string {
  return day.format(at);
}

/** Only the time of day, on the reader's own clock. */
export function clockTime(at: number): string {
  return clock.format(at);
}

/** The instant in UTC: `2026-11-22 14:49:05 UTC`. */
export function utcTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `1234567` as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Seconds as a person would say them: `90` → `1 m 30 s`, `0.5` → `500 ms`. */
export function seconds(value: number): string {
  return duration(value * SECOND).replace(/\.0 s$/, " s");
}

/** The zone of the reader's machine. */
export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** Every zone the browser knows, for suggestions. */
export function zoneNames(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC")];
}
