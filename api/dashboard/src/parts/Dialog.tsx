import { Dialog as Base } from "@base-ui/react/dialog";
import { type ReactNode, useRef, useState } from "react";
import { Button } from "./Button";
import "./Dialog.css";
import { CloseIcon } from "./icons";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  size?: "small" | "medium" | "large";
  /** something is typed here: a press outside does not close it, and Escape asks first once something was */
  keep?: boolean;
  children: ReactNode;
}

/** A modal dialog with a title; focus begins at its first field, stays in it, and goes back when it closes. */
export function Dialog({ open, onClose, title, description, size = "small", keep = false, children }: DialogProps) {
  const popup = useRef<HTMLDivElement>(null);
  const touched = useRef(false);
  const [asking, setAsking] = useState(false);

  function close(): void {
    touched.current = false;
    setAsking(false);
    onClose();
  }

  return (
    <Base.Root
      open={open}
      onOpenChange={(next, { reason }) => {
        if (next) return;
        if (keep && touched.current && reason === "escape-key") setAsking(!asking);
        else close();
      }}
      disablePointerDismissal={keep}
    >
      <Base.Portal>
        <Base.Backdrop className="dialog-backdrop" />
        <Base.Viewport className="dialog-viewport">
          <Base.Popup
            ref={popup}
            className={`dialog dialog-${size}`}
            initialFocus={() => popup.current?.querySelector<HTMLElement>(FIRST) ?? true}
            onChange={() => {
              touched.current = true;
            }}
          >
            <header className="dialog-head">
              <Base.Title className="dialog-title">{title}</Base.Title>
              <Base.Close className="button button-ghost button-icon" aria-label="Close">
                <CloseIcon />
              </Base.Close>
            </header>
            {asking && (
              <div className="dialog-asking" role="alert">
                <span>Close, and lose what was typed?</span>
                <Button size="small" onClick={() => setAsking(false)}>
                  Go on typing
                </Button>
                <Button size="small" look="danger" onClick={close}>
                  Close
                </Button>
              </div>
            )}
            {description && (
              <Base.Description className="dialog-description" render={<div />}>
                {description}
              </Base.Description>
            )}
            {children}
          </Base.Popup>
        </Base.Viewport>
      </Base.Portal>
    </Base.Root>
  );
}

/** What a dialog is there for: a field, or the button that does it. */
const FIRST = "form :is(input:not([type=radio], [type=checkbox]), textarea, select), form [type=submit]";

/** The buttons at the end of a dialog; stays in sight. */
export function DialogFoot({ children }: { children: ReactNode }) {
  return <footer className="dialog-foot">{children}</footer>;
}
