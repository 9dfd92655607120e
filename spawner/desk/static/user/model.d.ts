import type { State } from "../shared/api.d.ts";
import type { Formats, Translate } from "../shared/format.js";
import type { Problem } from "../shared/live.js";

/** What the functions that draw the page are given. `now` is the server's clock, in milliseconds. */
export type Model = { state: State; ui: Ui; now: number; t: Translate; f: Formats };

/** What this tab knows beyond the server's state. */
export type Ui = {
  /** Ids that the user chose on this page. */
  flavor: string | null;
  image: string | null;
  /** The control whose request is under way. */
  busy: string | null;
  problem: Problem | null;
  /** Whether this tab asked for the next instance that runs, and the id of the instance that ran when it asked. */
  asked: boolean;
  before: string | null;
  /** The id of the example to open once the instance runs. */
  opening: string | null;
  /** The instance to start once the current one is deleted. */
  switching: { flavor: string; image: string; example: string } | null;
  /** `ended_at` of the last instance whose end the user dismissed. */
  dismissed: string | null;
};
