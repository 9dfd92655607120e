/** The form that starts an instance: flavors, images, and one button. */

import { h } from "../shared/dom.js";
import { meter, withoutHours } from "./allowance.js";
import { isMissing } from "./missing.js";

/** @import { FlavorView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * The flavor that the user chose, even if none of it is free any more: the form never
 * replaces a choice. Otherwise the first that can be started, or else queued for; the
 * default comes first.
 * @param {Pick<Model, "state" | "ui">} model
 * @returns {FlavorView | undefined}
 */
export function chosenFlavor({ state: { flavors, defaults }, ui }) {
  const free = flavors.filter(canStart);
  const queueable = flavors.filter(canQueue);
  return flavors.find(({ id }) => id === ui.flavor)
    ?? free.find(({ id }) => id === defaults.flavor) ?? free[0]
    ?? queueable.find(({ id }) => id === defaults.flavor) ?? queueable[0]
    ?? flavors.find(({ id }) => id === defaults.flavor) ?? flavors[0];
}

/** @param {Pick<Model, "state" | "ui">} model */
export function chosenImage({ state: { images, defaults }, ui }) {
  const ready = images.filter(({ available }) => available);
  return ready.find(({ id }) => id === ui.image) ?? ready.find(({ id }) => id === defaults.image) ?? ready[0];
}

/** @param {FlavorView} flavor */
export const canStart = (flavor) => flavor.available > 0 && !flavor.reason;

/** @param {FlavorView} flavor */
export const canQueue = (flavor) => flavor.queue && !canStart(flavor);

/**
 * "2 CPU · 2 GB memory · 1 GB disk · up to 4 hours". Lines break only between the parts.
 * @param {FlavorView} flavor
 * @param {Model} model
 * @param {boolean} [timed]  whether to add the session's limit
 */
export function resources({ cpu, memory_bytes, disk_bytes, accelerator, session_seconds }, { t, f }, timed = true) {
  return [
    accelerator && t(accelerator.count > 1 ? "shape_accelerators" : "shape_accelerator", {
      n: f.number(accelerator.count), name: accelerator.name, size: f.size(accelerator.memory_bytes),
    }),
    t("shape_cpu", { n: f.number(cpu) }),
    t("shape_memory", { size: f.size(memory_bytes) }),
    disk_bytes && t("shape_disk", { size: f.size(disk_bytes) }),
    timed && session_seconds && t("shape_time", { time: f.limit(session_seconds) }),
  ].map((part) => part && part.replaceAll(" ", "\u00a0")).filter(Boolean).join("\u00a0· ");
}

/**
 * The length of the flavor's queue, and the expected wait.
 * @param {FlavorView} flavor
 * @param {Model} model
 */
function queueText({ in_line, wait_seconds }, { t, f }) {
  const wait = wait_seconds && f.range(...wait_seconds);
  if (!in_line) return wait ? t("stock_wait", { wait }) : t("stock_first");
  return t(wait ? "stock_line_wait" : "stock_line", { n: f.number(in_line), wait: wait ?? "" });
}

/**
 * Those that this installation can give, and the chosen one.
 * @param {Model} model
 */
function shownFlavors(model) {
  const chosen = chosenFlavor(model);
  return model.state.flavors.filter((flavor) => flavor === chosen || !isMissing(flavor));
}

/**
 * @param {FlavorView} flavor
 * @param {boolean} checked
 * @param {Model} model
 */
function flavorRow(flavor, checked, model) {
  const { t, f } = model;
  const free = canStart(flavor);
  const off = !free && !canQueue(flavor);
  const only = shownFlavors(model).length === 1;
  const hasMeter = Boolean(flavor.allowance) && (!off || flavor.allowance?.blocks);
  const id = `flavor-${flavor.id}`;
  const capacity = free
    ? [
      flavor.warm > 0 && h("span", { class: "capacity-warm" }, t("stock_warm")),
      h("span", { class: "capacity-free" }, t("stock_free", { n: f.number(flavor.available) })),
    ]
    : off ? h("span", { class: "capacity-none" }, flavor.reason || t("stock_none"))
      : [
        h("span", { class: "capacity-none" }, t("stock_none")),
        h("span", { class: "capacity-queue" }, queueText(flavor, model)),
      ];
  return h(
    only ? "div" : "label", { class: off ? "flavor off" : "flavor", key: id },
    !only && h("input", {
      type: "radio", name: "flavor", value: flavor.id, checked, disabled: off && !checked,
      "aria-labelledby": `${id}-title`, "aria-describedby": `${id}-resources ${id}-capacity${hasMeter ? ` ${id}-hours` : ""}`,
    }),
    h("span", { class: "flavor-title", id: `${id}-title` }, flavor.title),
    h("span", { class: "flavor-resources", id: `${id}-resources` }, resources(flavor, model)),
    h("span", { class: "capacity", id: `${id}-capacity` }, capacity),
    flavor.summary && h("span", { class: "flavor-summary" }, flavor.summary),
    hasMeter && meter(flavor, model),
  );
}

/** @param {Model} model */
function imageChoice(model) {
  const { state, t } = model;
  const images = state.images.filter((image) => !isMissing(image));
  const chosen = chosenImage(model);
  if (!chosen) return null;
  const summary = chosen.summary && h("p", { class: "hint", id: "image-hint" }, chosen.summary);
  if (images.filter(({ available }) => available).length < 2) {
    return h("div", { class: "image", key: "image" },
      h("p", { class: "image-only" }, h("span", { class: "label" }, t("image")), chosen.title), summary);
  }
  return h(
    "div", { class: "image", key: "image-choice" },
    h("label", { class: "label", for: "image" }, t("image")),
    h(
      "select", { id: "image", name: "image", "aria-describedby": chosen.summary ? "image-hint" : null },
      images.map(({ id, title, available, reason, for_you }) => h(
        "option", { value: id, key: id, selected: id === chosen.id, disabled: !available },
        available ? title : for_you ? t("image_unavailable", { title, reason: reason || t("unavailable") })
          : `${title}: ${reason}`,
      )),
    ),
    summary,
  );
}

/**
 * Why the chosen flavor can be neither started nor queued for; null if it can.
 * @param {Model} model
 */
function obstacle(model) {
  const { state, t } = model;
  const flavor = chosenFlavor(model);
  if (!flavor) return t("no_flavors");
  if (!chosenImage(model)) return t("no_images");
  if (canStart(flavor) || canQueue(flavor)) return null;
  return state.flavors.some(canStart) ? flavor.reason || t("stock_none") : flavor.reason || t("nothing_free");
}

/** @param {Model} model */
export function startForm(model) {
  const { state, ui, t } = model;
  const chosen = chosenFlavor(model);
  const reason = obstacle(model);
  const busy = ui.busy === "start";
  const queues = chosen !== undefined && canQueue(chosen);
  return h(
    "section", { class: "hero", key: "start-form", "aria-labelledby": "title" },
    h(
      "div", { class: "hero-text" },
      h("h1", { id: "title", tabindex: -1 }, t("hero_title")),
      h("p", { class: "lead" }, t("hero_lead")),
    ),
    h(
      "form", { class: "panel", "data-action": "start" },
      state.flavors.length > 0 && h(
        "fieldset", { class: "flavors", key: "flavors" },
        h("legend", { class: "sr-only" }, t("flavor_legend")),
        shownFlavors(model).map((flavor) => flavorRow(flavor, flavor === chosen, model)),
      ),
      h(
        "div", { class: "panel-end", key: "end" },
        imageChoice(model),
        withoutHours(model, chosen),
        reason && !chosen?.allowance?.blocks && h("p", { class: "blocked", id: "blocked", key: "blocked" }, reason),
        queues && h("p", { class: "blocked", id: "blocked", key: "queue" }, t("queue_hint")),
        state.flavors.length > 0 && h(
          "button", {
            class: "button primary", type: "submit", id: "start", key: "start",
            "aria-disabled": reason || ui.busy ? "true" : null,
            "aria-describedby": reason || queues ? "blocked" : null,
          },
          t(queues ? (busy ? "joining" : "join") : busy ? "starting" : "start"),
        ),
      ),
    ),
    h("p", { class: "fine" }, t(state.keep?.chosen ? "fine_print_kept" : "fine_print")),
  );
}
