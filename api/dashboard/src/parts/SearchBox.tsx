import { useCallback, useEffect, useId, useRef, useState } from "react";
import { SearchIcon } from "./icons";
import "./Field.css";

interface SearchBoxProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  /** whether the key `/` comes here */
  main?: boolean;
  /** what may be meant, offered below */
  suggestions?: readonly string[];
  /** hears every key at once, to fetch suggestions */
  onType?: (text: string) => void;
}

const PAUSE = 250;

/** A search that takes effect when the typing pauses, at Enter, or when the box is left. */
export function SearchBox({ label, value, onChange, main = false, suggestions, onType }: SearchBoxProps) {
  const list = useId();
  const [text, setText] = useState(value);
  const sent = useRef(value);
  useEffect(() => {
    // The address changed by other means, e.g. the browser's back button.
    if (value !== sent.current) {
      sent.current = value;
      setText(value);
    }
  }, [value]);
  const send = useCallback(() => {
    if (text.trim() === sent.current) return;
    sent.current = text.trim();
    onChange(text.trim());
  }, [text, onChange]);
  useEffect(() => {
    const timer = setTimeout(send, PAUSE);
    return () => clearTimeout(timer);
  }, [send]);
  return (
    <div className="search">
      <SearchIcon />
      <input
        type="search"
        className="input"
        aria-label={label}
        placeholder={label}
        value={text}
        autoComplete="off"
        spellCheck={false}
        {...(main ? { "data-main-search": "" } : {})}
        {...(suggestions ? { list } : {})}
        onBlur={send}
        onKeyDown={(event) => event.key === "Enter" && send()}
        onChange={(event) => {
          setText(event.target.value);
          onType?.(event.target.value);
        }}
      />
      {suggestions && (
        <datalist id={list}>
          {suggestions.map((suggestion) => (
            <option key={suggestion} value={suggestion} />
          ))}
        </datalist>
      )}
    </div>
  );
}
