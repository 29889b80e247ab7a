import type { Failure } from "../../api/types";
import { Code } from "../../parts/Json";

/** An error as the handler raised it. */
export function FailureView({ failure }: { failure: Failure }) {
  return (
    <div className="failure">
      <p className="failure-line">
        <strong>{failure.type}</strong>
        {failure.message && `: ${failure.message}`}
      </p>
      {failure.traceback && (
        <Code text={failure.traceback} label="Traceback">
          {failure.traceback.trimEnd()}
        </Code>
      )}
    </div>
  );
}
