/** What every address of this Leveret begins with, where it is served behind a path such as `/leveret`; else empty. */
export const BASE_PATH =
  document.querySelector<HTMLMetaElement>('meta[name="leveret-base-path"]')?.content.replace(/\/$/, "") ?? "";
