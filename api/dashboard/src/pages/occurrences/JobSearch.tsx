import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { queries } from "../../api/queries";
import { SearchBox } from "../../parts/SearchBox";

/** Picks a job by its name or id, with the names that begin or go on like what is typed. */
export function JobSearch({
  value,
  onChange,
  main = false,
}: {
  value: string;
  onChange: (text: string) => void;
  main?: boolean;
}) {
  const [text, setText] = useState("");
  const typed = useDeferredValue(text.trim());
  const jobs = useQuery({ ...queries.jobs({ search: typed }), enabled: typed.length > 1 });
  return (
    <SearchBox
      label="Job name or id"
      value={value}
      onChange={onChange}
      onType={setText}
      suggestions={typed.length > 1 ? (jobs.data?.items ?? []).map((job) => job.name) : []}
      main={main}
    />
  );
}
