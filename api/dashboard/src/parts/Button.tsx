import type { ComponentProps, ReactNode } from "react";
import "./Button.css";

interface ButtonProps extends ComponentProps<"button"> {
  look?: "plain" | "solid" | "danger" | "ghost";
  size?: "normal" | "small";
  /** the request it made is under way */
  busy?: boolean;
  icon?: ReactNode;
}

/** A button; while busy it keeps its width and takes no press. */
export function Button({
  look = "plain",
  size = "normal",
  busy = false,
  icon,
  className,
  children,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={["button", `button-${look}`, `button-${size}`, className].filter(Boolean).join(" ")}
      aria-busy={busy || undefined}
      disabled={rest.disabled || busy}
    >
      {icon}
      {children}
    </button>
  );
}
