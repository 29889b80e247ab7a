/** The instant as a clock on a wall in `zone` shows it, in the form of a datetime-local input: `2026-03-29T03:00:00`. */
export function wallTime(iso: string, zone: string): string {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).formatToParts(new Date(iso));
  const of = (type: Intl.DateTimeFormatPartTypes) => parts.find((part) => part.type === type)?.value ?? "";
  return `${of("year")}-${of("month")}-${of("day")}T${of("hour")}:${of("minute")}:${of("second")}`;
}

const day = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  timeZone: "UTC",
});

/** Server's local time with offset for a reader: `2026-03-29T03:00:00+02:00` → `Sun, 29 Mar 2026`, `03:00:00`, `+02:00`. */
export function splitLocal(text: string): { day: string; time: string; offset: string } {
  const match = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(.*)$/.exec(text);
  if (!match) return { day: text, time: "", offset: "" };
  const [, date = "", time = "", offset = ""] = match;
  return { day: day.format(new Date(`${date}T00:00:00Z`)), time, offset: offset === "Z" ? "+00:00" : offset };
}

/** Whether the browser knows the zone. */
export function knownZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone !== "";
  } catch {
    return false;
  }
}
