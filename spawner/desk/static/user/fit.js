/** Which machine type an example starts on. */

import { canQueue, canStart, chosenFlavor } from "./start.js";

/** @import { ExampleView, FlavorView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * @param {ExampleView} example
 * @returns {(flavor: FlavorView) => boolean}
 */
const fits = (example) => (flavor) => flavor.memory_bytes >= example.memory_bytes;

/**
 * The machine type that a press on "Open" starts or, for a user who is in no queue, queues for; undefined where there
 * is none. The user's choice comes first. Who is in a queue keeps the place there, and starts another type meanwhile.
 * @param {ExampleView} example
 * @param {Pick<Model, "state" | "ui">} model
 * @returns {FlavorView | undefined}
 */
export function flavorFor(example, model) {
  const { flavors, ticket } = model.state;
  const chosen = chosenFlavor(model);
  const fitting = flavors.filter(fits(example)).sort((a, b) => Number(b === chosen) - Number(a === chosen));
  if (ticket) return ticket.place === null ? undefined : fitting.find((one) => canStart(one) && one.id !== ticket.flavor);
  if (chosen && fitting[0] === chosen && canQueue(chosen)) return chosen;
  return fitting.find(canStart) ?? fitting.find(canQueue);
}

/**
 * Why no machine type can be started for an example.
 * @param {ExampleView} example
 * @param {Model} model
 */
export function whyNot(example, model) {
  const { state: { flavors, ticket }, t, f } = model;
  const fitting = flavors.filter(fits(example));
  if (!fitting.length) return t("too_large", { size: f.size(example.memory_bytes) });
  if (ticket) return t(ticket.place === null ? "turn_lead" : "in_line");
  const chosen = chosenFlavor(model);
  return (chosen && fitting.includes(chosen) ? chosen : fitting[0])?.reason || t("stock_none");
}
