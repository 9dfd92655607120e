/**
 * The shapes of the operator's page. Nothing here runs; `operator_views.py` says what each field means.
 *
 * @typedef {{by: string, at: string}} Setting
 * @typedef {{count: number, p50: ?number, p95: ?number}} Span
 * @typedef {{begins: string, came: number, waited: number, p50: ?number, longest: ?number}} Hour
 *
 * @typedef {object} Target
 * @property {string} image
 * @property {string} image_title
 * @property {number} warm
 * @property {number} making
 * @property {number} target
 * @property {string} why
 * @property {?(Setting & {slots: number})} floor
 * @property {?number} catalog_floor
 * @property {?number} catalog_ceiling
 * @property {?{failures: number, until: string, reason: string, details: string}} backs_off
 *
 * @typedef {object} Day
 * @property {Span} warm
 * @property {Span} cold
 * @property {Span} waits
 * @property {Hour[]} hours
 * @property {{within: number, shorter: number, longer: number}} foretold
 * @property {{reason: string, text: string, count: number}[]} failures
 *
 * @typedef {object} Board
 * @property {string} id
 * @property {string} title
 * @property {number} running
 * @property {number} starting
 * @property {number} stopping
 * @property {number} queued
 * @property {?number} oldest_seconds
 * @property {{limit: number, assigned: number, warm: number, making: number, leaving: number, room: number,
 *   free: number}}
 *   slots
 * @property {?string} reason
 * @property {?{enabled: boolean, text: string, details: string, until: ?string}} user_namespaces
 * @property {?Setting} paused
 * @property {Target[]} targets
 * @property {Day} day
 *
 * @typedef {object} Plan
 * @property {string} name
 * @property {string} flavor
 * @property {string} image
 * @property {number} slots
 * @property {boolean} weekly
 * @property {string} next_begins
 * @property {string} next_ends
 * @property {"now"|"coming"|"over"|"ignored"} state
 * @property {string} by
 * @property {string} at
 *
 * @typedef {object} OperatorState
 * @property {boolean} steward
 * @property {?(Setting & {ends_all_at: ?string, reason: string})} drain
 * @property {Board[]} flavors
 * @property {{id: string, title: string}[]} images
 * @property {Plan[]} plans
 * @property {(Setting & {name: string, text: string, path: string, body: object})[]} ignored
 * @property {string} now
 *
 * @typedef {import("../shared/types.js").Problem} Problem
 * @typedef {import("../shared/types.js").Translate} Translate
 * @typedef {import("../shared/types.js").Formats} Formats
 * @typedef {{state: OperatorState, problem: ?Problem, now: number, t: Translate, f: Formats}} Model
 */

export {};
