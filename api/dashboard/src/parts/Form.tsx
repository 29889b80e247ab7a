import { type ReactNode, useEffect, useRef } from "react";

interface FormProps {
  onSubmit: () => void;
  /** what the last press came to, while it was refused: the server's error, or what cannot be read; nothing otherwise */
  refused: unknown;
  children: ReactNode;
}

/** The form of a dialog. When it is refused, what is at fault comes into sight and takes the focus. */
export function Form({ onSubmit, refused, children }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (refused && form.current) showFault(form.current);
  }, [refused]);
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {children}
    </form>
  );
}

/** The first field that is wrong, or else the note that says why. */
function showFault(form: HTMLFormElement): void {
  const found =
    form.querySelector<HTMLElement>('[aria-invalid="true"]') ??
    form.querySelector<HTMLElement>("[role=alert]") ??
    form.querySelector<HTMLElement>(".field-error");
  if (!found) return;
  for (let above = found.parentElement; above && above !== form; above = above.parentElement) {
    if (above instanceof HTMLDetailsElement) above.open = true;
  }
  if (!found.matches("input, textarea, select, button")) found.tabIndex = -1;
  found.focus({ preventScroll: true });
  found.scrollIntoView({ block: "center" });
}
