import { type ReactNode, useMemo, useState } from "react";
import { printJson } from "../api/json";
import type { JsonValue } from "../api/types";
import { Button } from "./Button";
import "./Json.css";

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
/** Characters beyond which colouring costs more than it helps. */
const PLAIN_FROM = 60_000;

/** JSON, indented and coloured, with a button to copy it. */
export function Json({ value, label }: { value: JsonValue; label: string }) {
  const text = useMemo(() => printJson(value), [value]);
  return (
    <Code text={text} label={label}>
      {text.length > PLAIN_FROM ? text : coloured(text)}
    </Code>
  );
}

interface CodeProps {
  /** what the button copies */
  text: string;
  label: string;
  children: ReactNode;
}

/** Text in a fixed-width font that scrolls in its own frame. */
export function Code({ text, label, children }: CodeProps) {
  return (
    <div className="code">
      <CopyButton text={text} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard */}
      <section className="code-frame" tabIndex={0} aria-label={label}>
        <pre>{children}</pre>
      </section>
    </div>
  );
}

/** A button that puts a text onto the clipboard. */
function CopyButton({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  if (!navigator.clipboard) return null;
  return (
    <Button
      size="small"
      look="ghost"
      className="code-copy"
      onClick={async () => {
        await navigator.clipboard.writeText(text);
        setDone(true);
        setTimeout(() => setDone(false), 1_500);
      }}
    >
      {done ? "Copied" : "Copy"}
    </Button>
  );
}

function coloured(text: string): ReactNode[] {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    parts.push(text.slice(end, match.index));
    const kind = string === undefined ? "value" : colon === undefined ? "string" : "key";
    parts.push(
      <span key={match.index} className={`code-${kind}`}>
        {string ?? whole}
      </span>,
      colon,
    );
    end = match.index + whole.length;
  }
  parts.push(text.slice(end));
  return parts;
}
