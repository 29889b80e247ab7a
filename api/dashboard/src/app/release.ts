import { BASE_PATH } from "./basePath";

/** The address of the script that this page runs on; it holds a hash of what it is made of. */
function scriptOf(page: Document): string | null {
  return page.querySelector('script[type="module"]')?.getAttribute("src") ?? null;
}

/** What the server has now: this page's release, another one, or no answer. */
export async function askForRelease(): Promise<"same" | "other" | "away"> {
  try {
    const answer = await fetch(`${BASE_PATH}/`, { cache: "no-store", headers: { accept: "text/html" } });
    if (!answer.ok) return "away";
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return scriptOf(page) === scriptOf(document) ? "same" : "other";
  } catch {
    return "away";
  }
}
