import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg
      viewBox="0 0 16 16"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export function PlusIcon() {
  return (
    <Icon>
      <path d="M8 3.500v9M3.500 8h9" />
    </Icon>
  );
}

export function PlayIcon() {
  return (
    <Icon>
      <path d="M5 3.300v9.400L12.500 8z" fill="currentColor" />
    </Icon>
  );
}

export function PauseIcon() {
  return (
    <Icon>
      <path d="M5.500 3.500v9M10.500 3.500v9" strokeWidth="2" />
    </Icon>
  );
}

export function MoreIcon() {
  return (
    <Icon>
      <path d="M3.500 8h.01M8 8h.01M12.500 8h.01" strokeWidth="2.200" />
    </Icon>
  );
}

export function CloseIcon() {
  return (
    <Icon>
      <path d="m4 4 8 8M12 4l-8 8" />
    </Icon>
  );
}

export function SearchIcon() {
  return (
    <Icon>
      <path d="M7 2.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9M10.300 10.300l3.200 3.200" />,
    </Icon>
  );
}

export function EditIcon() {
  return (
    <Icon>
      <path d="m3 13 .6-2.700 7.300-7.300 2.100 2.100-7.300 7.300zM9.500 4.400l2.100 2.100" />
    </Icon>
  );
}

export function RepeatIcon() {
  return (
    <Icon>
      <path d="M12.800 6.300A5.100 5.100 0 1 0 13.100 9M13.200 2.900v3.500H9.700" />
    </Icon>
  );
}

export function StopIcon() {
  return (
    <Icon>
      <rect x="4" y="4" width="8" height="8" rx="1.200" />
    </Icon>
  );
}

export function DownIcon() {
  return (
    <Icon>
      <path d="M8 3v9.500M4.200 8.700 8 12.500l3.800-3.800" />
    </Icon>
  );
}

export function SortIcon() {
  return (
    <Icon>
      <path d="m5 6.300 3-3 3 3M5 9.700l3 3 3-3" />
    </Icon>
  );
}

export function WarnIcon() {
  return (
    <Icon>
      <path d="M8 2.300 14 13H2zM8 6.500v3M8 11.300v.01" />
    </Icon>
  );
}
