let answeredAt = Date.now();

/** Remember that the API has just answered. */
export function noteAnswer(): void {
  answeredAt = Date.now();
}

/** Milliseconds since the epoch at which the API last answered well. */
export function lastAnswer(): number {
  return answeredAt;
}
