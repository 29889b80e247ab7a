import { useVirtualizer } from "@tanstack/react-virtual";
import { useDeferredValue, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { addressOf } from "../../api/client";
import type { LogRecord } from "../../api/types";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { DownIcon } from "../../parts/icons";
import { Panel } from "../../parts/Panel";
import { ProblemNote } from "../../parts/ProblemNote";
import { clockTime, count, localTime } from "../../time/format";
import { fieldsOf, LEVELS, type LogFilter, leftOut, piecesOf, shownOf } from "./logFilter";
import { useLogTail } from "./useLogTail";

interface LogPanelProps {
  id: number;
  final: boolean;
  /** attempts so far */
  attempts: number;
}

const LINE = 22;
const SHORT: Record<string, string> = { warning: "warn", critical: "crit" };
/** Pixels from the end within which the reader is following. */
const NEAR = 24;

/** What the handler logs, as it logs it. Follows the end until the reader scrolls up. */
export function LogPanel({ id, final, attempts }: LogPanelProps) {
  const { records: all, loaded, error } = useLogTail(id, final);
  const [filter, setFilter] = useState<LogFilter>({ level: "", text: "" });
  const text = useDeferredValue(filter.text);
  const records = useMemo(() => shownOf(all, { level: filter.level, text }), [all, filter.level, text]);
  const frame = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const virtual = useVirtualizer({
    count: records.length,
    getScrollElement: () => frame.current,
    estimateSize: () => LINE,
    overscan: 12,
    paddingStart: 7,
    paddingEnd: 7,
    getItemKey: (index) => `${records[index]?.attempt}:${records[index]?.seq}`,
  });
  const size = virtual.getTotalSize();

  useLayoutEffect(() => {
    const element = frame.current;
    if (following && element && size > 0) element.scrollTop = element.scrollHeight;
  }, [following, size]);

  // A finished run is read from its beginning; only one that goes on is followed.
  const begun = useRef(false);
  useEffect(() => {
    if (!loaded || begun.current) return;
    begun.current = true;
    if (final) {
      setFollowing(false);
      frame.current?.scrollTo({ top: 0 });
    }
  }, [loaded, final]);

  function onScroll(): void {
    const element = frame.current;
    if (element) setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR);
  }

  return (
    <Panel
      title="Log"
      flush
      aside={
        all.length > 0 && (
          <>
            {!following && !final && (
              <Button size="small" look="ghost" icon={<DownIcon />} onClick={() => setFollowing(true)}>
                Follow
              </Button>
            )}
            <span className="num">
              {records.length < all.length && `${count(records.length)} of `}
              {count(all.length)} {all.length === 1 ? "line" : "lines"}
            </span>
          </>
        )
      }
    >
      {error && (
        <div className="panel-problem">
          <ProblemNote error={error} />
        </div>
      )}
      {all.length > 0 && (
        <div className="log-tools">
          <input
            type="search"
            className="input"
            aria-label="Search the log"
            placeholder="Search the log"
            value={filter.text}
            spellCheck={false}
            onChange={(event) => setFilter({ ...filter, text: event.target.value })}
          />
          <select
            className="input"
            aria-label="Level"
            value={filter.level}
            onChange={(event) => setFilter({ ...filter, level: event.target.value })}
          >
            <option value="">All levels</option>
            {LEVELS.slice(1).map((level) => (
              <option key={level} value={level}>
                {level === "critical" ? level : `${level} and above`}
              </option>
            ))}
          </select>
          <span className="log-files">
            Download as{" "}
            <a href={addressOf(`/occurrences/${id}/logs/file?format=text`)} download>
              text
            </a>{" "}
            or{" "}
            <a href={addressOf(`/occurrences/${id}/logs/file?format=ndjson`)} download>
              NDJSON
            </a>
          </span>
        </div>
      )}
      {records.length > 0 ? (
        <div
          ref={frame}
          className="logs"
          data-short={size < 400 || undefined}
          role="log"
          aria-label="Log"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
          tabIndex={0}
          onScroll={onScroll}
        >
          <div className="logs-inner" style={{ height: size }}>
            {virtual.getVirtualItems().map((item) => {
              const record = records[item.index];
              if (!record) return null;
              const before = records[item.index - 1];
              return (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className="log-place"
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  {attempts > 1 && record.attempt !== before?.attempt && (
                    <div className="log-attempt">Attempt {record.attempt}</div>
                  )}
                  <LogLine record={record} searched={text} />
                </div>
              );
            })}
          </div>
        </div>
      ) : (
        !error &&
        (all.length > 0 ? (
          <Empty title="No line matches" />
        ) : (
          <Empty title={loaded ? (final ? "It logged nothing" : "Nothing logged yet") : "…"}>
            {loaded && !final ? "Lines appear here as the handler writes them." : undefined}
          </Empty>
        ))
      )}
    </Panel>
  );
}

function LogLine({ record, searched }: { record: LogRecord; searched: string }) {
  const at = Date.parse(record.at);
  const level = record.level.toLowerCase();
  if (leftOut(record) !== undefined) return <p className="log-gap">{record.message}</p>;
  return (
    <div className={`log-line log-${level}`}>
      <time className="log-at" dateTime={record.at} title={localTime(at)}>
        {clockTime(at)}
      </time>
      <span className="log-level" title={level}>
        {SHORT[level] ?? level}
      </span>
      <span className="log-message">
        <Marked text={record.message} searched={searched} />
        <span className="log-fields">
          <Marked text={fieldsOf(record)} searched={searched} />
        </span>
      </span>
    </div>
  );
}

function Marked({ text, searched }: { text: string; searched: string }) {
  return piecesOf(text, searched).map((piece, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one text
    index % 2 === 1 ? <mark key={index}>{piece}</mark> : piece,
  );
}
