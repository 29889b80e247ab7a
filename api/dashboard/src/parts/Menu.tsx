import { Menu as Base } from "@base-ui/react/menu";
import type { ReactNode } from "react";
import { MoreIcon } from "./icons";
import "./Menu.css";

interface MenuProps {
  /** what the menu is for, e.g. the job's name */
  label: string;
  children: ReactNode;
}

/** A menu behind three dots. */
export function Menu({ label, children }: MenuProps) {
  return (
    <Base.Root modal={false}>
      <Base.Trigger className="button button-ghost button-icon" aria-label={label}>
        <MoreIcon />
      </Base.Trigger>
      <Base.Portal>
        <Base.Positioner className="menu-place" sideOffset={4} align="end">
          <Base.Popup className="menu">{children}</Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}

interface MenuItemProps {
  onPick: () => void;
  danger?: boolean;
  children: ReactNode;
}

/** One thing to do. */
export function MenuItem({ onPick, danger = false, children }: MenuItemProps) {
  return (
    <Base.Item className={danger ? "menu-item menu-danger" : "menu-item"} onClick={onPick}>
      {children}
    </Base.Item>
  );
}
