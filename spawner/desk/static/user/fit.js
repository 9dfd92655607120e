/** Which machine type an example starts on. */

import { canQueue, canStart, chosenFlavor } from "./start.js";

/** @import { ExampleView, FlavorView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * @param {ExampleView} example
 * @returns {(flavor: FlavorView) => boolean}
 */
const fits = (example) => (flavor) => example.fits.includes(flavor.id);

/**
 * What an example needs, in one line: "3 GB memory · 2 GB disk". Only what the flavor has too little of, if one is given.
 * @param {ExampleView} example
 * @param {FlavorView | undefined} flavor
 * @param {Model} model
 */
export function needsOf({ needs }, flavor, { t, f }) {
  const { memory_bytes: memory, disk_bytes: disk, accelerator_memory_bytes: gpu } = needs;
  return [
    gpu !== null && (flavor?.accelerator?.memory_bytes ?? 0) < gpu && t("needs_gpu", { size: f.size(gpu) }),
    (flavor?.memory_bytes ?? 0) < memory && t("shape_memory", { size: f.size(memory) }),
    disk > 0 && (flavor?.disk_bytes ?? 0) < disk && t("shape_disk", { size: f.size(disk) }),
  ].filter(Boolean).join(" · ") || t("shape_memory", { size: f.size(memory) });
}

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
  const { state: { flavors, ticket }, t } = model;
  const fitting = flavors.filter(fits(example));
  if (!fitting.length) return t("example_fits_none", { needs: needsOf(example, undefined, model) });
  if (ticket) return t(ticket.place === null ? "turn_lead" : "in_line");
  const chosen = chosenFlavor(model);
  return (chosen && fitting.includes(chosen) ? chosen : fitting[0])?.reason || t("stock_none");
}
