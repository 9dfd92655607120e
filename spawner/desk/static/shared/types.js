/**
 * The shapes the desk's modules share. Nothing here runs.
 *
 * @typedef {{name: string, count: number, memory_bytes: number}} Accelerator
 *
 * @typedef {object} Flavor
 * @property {string} id
 * @property {string} title
 * @property {?string} summary
 * @property {number} cpu
 * @property {number} memory_bytes
 * @property {number} disk_bytes
 * @property {?Accelerator} accelerator
 * @property {number} session_seconds
 * @property {number} available
 * @property {number} warm
 * @property {number} in_line
 * @property {boolean} queue
 * @property {?[number, number]} wait_seconds
 * @property {?string} reason
 *
 * @typedef {{id: string, title: string, summary: ?string, available: boolean, reason: ?string}} Image
 *
 * @typedef {object} Example
 * @property {string} id
 * @property {string} title
 * @property {?string} summary
 * @property {string} path
 * @property {string} image
 * @property {?number} seconds
 * @property {?string} icon
 * @property {boolean} available
 * @property {?string} reason
 *
 * @typedef {{at: string, percent: number, text: string}} Step
 *
 * @typedef {object} Instance
 * @property {string} id
 * @property {"starting"|"running"|"stopping"} state
 * @property {string} flavor
 * @property {string} image
 * @property {?string} example
 * @property {string} requested_at
 * @property {?string} usable_at
 * @property {?string} ends_at
 * @property {string} url
 * @property {string} open_url
 * @property {Step[]} progress
 *
 * @typedef {object} Ticket
 * @property {string} id
 * @property {"waiting"|"called"} state
 * @property {string} flavor
 * @property {string} image
 * @property {?string} example
 * @property {string} joined_at
 * @property {?number} place
 * @property {?[number, number]} wait_seconds
 * @property {?string} reason
 * @property {boolean} held
 * @property {?string} hold_until
 *
 * @typedef {object} State
 * @property {{name: string, admin: boolean}} user
 * @property {{isolated: boolean, notice: ?string, maintenance: ?{at: ?string, reason: string}}} pool
 * @property {Flavor[]} flavors
 * @property {Image[]} images
 * @property {Example[]} examples
 * @property {{flavor: ?string, image: ?string}} defaults
 * @property {?Instance} instance
 * @property {?Ticket} ticket
 * @property {?{ended_at: string, text: string, failed: boolean}} last
 * @property {?Paid} paid
 * @property {string} now
 *
 * @typedef {object} PaidInstance
 * @property {string} id
 * @property {string} provider
 * @property {string} account
 * @property {string} region
 * @property {string} instance_type
 * @property {string} state
 * @property {string} state_text
 * @property {?string} problem
 * @property {?string} currency
 * @property {?string} spent
 * @property {?string} cap
 * @property {?number} share
 * @property {?string} stops_at
 * @property {boolean} can_stop
 * @property {boolean} can_delete
 * @property {?string} open_url
 * @property {string} url
 *
 * @typedef {object} Paid
 * @property {boolean} offered
 * @property {string} accounts_url
 * @property {{id: string, state: string, url: string}[]} accounts
 * @property {PaidInstance[]} instances
 * @property {{seq: number, text: string, good: boolean}[]} notices
 *
 * @typedef {{message: string, next: ?string, details: string}} Problem
 *
 * What this tab knows beyond the server's state.
 * @typedef {object} Ui
 * @property {?string} flavor    chosen here, if any
 * @property {?string} image     chosen here, if any
 * @property {?string} busy      the control whose request is on its way
 * @property {?Problem} problem
 * @property {boolean} asked     the next running instance was asked for here
 * @property {?string} before    the id of what ran when it was asked for
 * @property {?string} opening   the example to go to once the instance runs
 * @property {?{flavor: string, image: string, example: string}} switching  to start after the wipe
 * @property {?string} dismissed  ended_at of the line that was put away
 *
 * @typedef {(key: string, values?: Record<string, string|number>) => string} Translate
 * @typedef {ReturnType<typeof import("./format.js").formats>} Formats
 * @typedef {{state: State, ui: Ui, now: number, t: Translate, f: Formats}} Model
 */

export {};
