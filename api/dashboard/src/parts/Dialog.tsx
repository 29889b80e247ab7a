import { Dialog as Base } from "@base-ui/react/dialog";
import type { ReactNode, RefObject } from "react";
import "./Dialog.css";
import { CloseIcon } from "./icons";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  size?: "small" | "medium" | "large";
  /** a press outside does not close it: there may be something typed */
  keep?: boolean;
  initialFocus?: RefObject<HTMLElement | null>;
  children: ReactNode;
}

/** A modal dialog with a title; focus stays in it and goes back when it closes. */
export function Dialog({
  open,
  onClose,
  title,
  description,
  size = "small",
  keep = false,
  initialFocus,
  children,
}: DialogProps) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()} disablePointerDismissal={keep}>
      <Base.Portal>
        <Base.Backdrop className="dialog-backdrop" />
        <Base.Viewport className="dialog-viewport">
          <Base.Popup className={`dialog dialog-${size}`} {...(initialFocus ? { initialFocus } : {})}>
            <header className="dialog-head">
              <Base.Title className="dialog-title">{title}</Base.Title>
              <Base.Close className="button button-ghost button-icon" aria-label="Close">
                <CloseIcon />
              </Base.Close>
            </header>
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

/** The buttons at the end of a dialog; stays in sight. */
export function DialogFoot({ children }: { children: ReactNode }) {
  return <footer className="dialog-foot">{children}</footer>;
}
