import type { AdminState } from "../shared/api.d.ts";
import type { Formats, Translate } from "../shared/format.js";
import type { Problem } from "../shared/live.js";

/** What the functions that draw the page are given. `now` is the server's clock, in milliseconds. */
export type Model = { state: AdminState; problem: Problem | null; now: number; t: Translate; f: Formats };
