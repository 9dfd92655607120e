/** The user's ticket: the whole page while no instance runs, otherwise a banner above the instance. */

import { h, icon } from "../shared/dom.js";
import { fact, imageTitle } from "./instance.js";
import { canRequest, isAllowed } from "./notifications.js";
import { canStart, resources } from "./start.js";

/** @import { TicketView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * @param {Model} model
 * @param {TicketView} ticket
 */
export const ticketTitle = ({ state }, ticket) => (
  state.flavors.find(({ id }) => id === ticket.flavor)?.title ?? ticket.flavor
);

/**
 * @param {Model} model
 * @param {string} action
 * @param {string} text
 */
const actionButton = ({ ui }, action, text) => h(
  "button", {
    class: "button", type: "button", key: action, "data-action": action, "aria-disabled": ui.busy ? "true" : null,
  }, text,
);

/**
 * The flavors that can be started at once. The ticket stays in the queue.
 * @param {Model} model
 * @param {TicketView} ticket
 */
function meanwhile(model, ticket) {
  const { state, ui, t, f } = model;
  const free = state.flavors.filter((flavor) => canStart(flavor) && flavor.id !== ticket.flavor);
  if (!free.length) return null;
  return h(
    "section", { class: "meanwhile", key: "meanwhile", "aria-labelledby": "meanwhile-title" },
    h("h2", { id: "meanwhile-title" }, t("meanwhile_title")),
    h("p", { class: "hint" }, t("meanwhile_lead")),
    h("ul", {}, free.map((flavor) => h(
      "li", { class: "instead", key: flavor.id },
      h("span", { class: "instead-title" }, flavor.title),
      h("span", { class: "instead-resources" }, resources(flavor, model)),
      h("button", {
        class: "button small", type: "button", "data-action": "instead", "data-flavor": flavor.id,
        "aria-disabled": ui.busy ? "true" : null,
      }, t(ui.busy === `instead-${flavor.id}` ? "starting" : "start_now"), h("span", { class: "sr-only" }, ` ${flavor.title}`)),
      h("span", { class: "sr-only" }, t("stock_free", { n: f.number(flavor.available) })),
    ))),
  );
}

/**
 * The page while the user has a ticket and no instance.
 * @param {Model} model
 * @param {TicketView} ticket
 */
export function queue(model, ticket) {
  const { state, ui, t, f, now } = model;
  const flavor = state.flavors.find(({ id }) => id === ticket.flavor);
  const next = state.examples.find(({ id }) => id === (ui.opening ?? ticket.example));
  const { place } = ticket;
  return h(
    "section", { class: "hero is-waiting", key: "queue", "aria-labelledby": "title" },
    h(
      "div", { class: "hero-text" },
      h("p", { class: "status", key: "status" }, h("span", { class: "status-mark" }), t(place ? "state_waiting" : "state_starting")),
      h("h1", { id: "title", tabindex: -1, key: "title" }, place ? t("line_title", { place: f.number(place) }) : t("turn_title")),
      h("p", { class: "lead", key: "lead" }, place ? t("line_lead") : t("turn_lead")),
      place && next && h("p", { class: "hint", key: "next" }, t("example_waits", { title: next.title })),
    ),
    h(
      "div", { class: "panel roomy", key: "panel-queue" },
      place && h(
        "div", { class: "left", key: "wait" },
        h("p", { class: "label" }, t("expected_wait")),
        h(
          "p", { class: "left-line" },
          h("span", { class: "left-time" }, ticket.wait_seconds ? f.range(...ticket.wait_seconds) : t("wait_unknown")),
          h("span", { class: "left-end" }, t("place_of", { place: f.number(place), n: f.number(flavor?.in_line ?? place) })),
        ),
        ticket.wait_seconds && h("p", { class: "hint" }, t("wait_hint")),
        ticket.reason && h("p", { class: "left-warning" }, icon("info"), h("span", {}, ticket.reason)),
      ),
      h(
        "dl", { class: "facts", key: "facts" },
        fact(t("type"), flavor ? [flavor.title, h("span", { class: "fact-more" }, resources(flavor, model))] : ticket.flavor),
        fact(t("image"), imageTitle(model, ticket.image)),
        fact(t("waiting_for"), f.duration((now - Date.parse(ticket.joined_at)) / 1000)),
      ),
      place && meanwhile(model, ticket),
    ),
    h(
      "div", { class: "rest", key: "rest-queue" },
      place && canRequest() && actionButton(model, "notify", t("notify")),
      place ? actionButton(model, "leave", t(ui.busy === "leave" ? "leaving" : "leave"))
        : actionButton(model, "leave", t(ui.busy === "leave" ? "cancelling" : "cancel")),
      place && isAllowed() && h("p", { class: "fine notified", key: "notified" }, icon("check"), t("notify_on")),
    ),
  );
}

/**
 * The banner above a running instance.
 * @param {Model} model
 * @param {TicketView} ticket
 */
export function queueBanner(model, ticket) {
  const { ui, t, f, now } = model;
  const title = ticketTitle(model, ticket);
  const text = ticket.held && ticket.hold_until
    ? t("held", { title, time: f.clock(Date.parse(ticket.hold_until), now) })
    : t(ticket.wait_seconds ? "besides_wait" : "besides", {
      title, place: f.number(ticket.place ?? 1), wait: ticket.wait_seconds ? f.range(...ticket.wait_seconds) : "",
    });
  return h(
    "section", { class: ticket.held ? "queue-banner held" : "queue-banner", key: "queue-banner", "aria-label": t("state_waiting") },
    h("p", { role: "status" }, text),
    h(
      "div", { class: "queue-banner-end" },
      ticket.held && h("button", {
        class: "button small primary", type: "button", "data-action": "take", "aria-disabled": ui.busy ? "true" : null,
      }, t(ui.busy === "take" ? "switching" : "take")),
      h("button", {
        class: "button small", type: "button", "data-action": "leave", "aria-disabled": ui.busy ? "true" : null,
      }, t(ui.busy === "leave" ? "leaving" : ticket.held ? "give_up" : "leave")),
    ),
  );
}
