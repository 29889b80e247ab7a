import { Problem } from "../api/client";
import { Button } from "./Button";
import { WarnIcon } from "./icons";
import "./Note.css";

interface ProblemNoteProps {
  error: Error;
  retry?: () => void;
}

/** What went wrong, in the API's own words. */
export function ProblemNote({ error, retry }: ProblemNoteProps) {
  const problem = error instanceof Problem ? error : undefined;
  return (
    <div className="note note-danger" role="alert">
      <WarnIcon />
      <div>
        <strong>{problem?.title || "Something went wrong"}</strong>
        {error.message !== problem?.title && <p>{error.message}</p>}
        {problem && problem.errors.length > 1 && (
          <ul>
            {problem.errors.map((each) => (
              <li key={each.field + each.message}>
                <code>{each.field}</code>: {each.message}
              </li>
            ))}
          </ul>
        )}
      </div>
      {retry && (
        <Button size="small" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}
