/** The user's free instance: starting, running or stopping. */

import { h, icon } from "../shared/dom.js";
import { runningHours } from "./allowance.js";
import { sessionParts } from "./notices.js";
import { resources } from "./start.js";

/** @import { InstanceView } from "../shared/api.d.ts" */
/** @import { Child } from "../shared/dom.js" */
/** @import { Model } from "./model.d.ts" */

// A shorter time would be shown as "0 sec".
const SHORTEST_MS = 50;
const SOON_MS = 10 * 60_000;

/**
 * @param {Model} model
 * @param {InstanceView} instance
 */
const flavorOf = ({ state }, instance) => state.flavors.find(({ id }) => id === instance.flavor);

/**
 * @param {Model} model
 * @param {string} id
 */
export const imageTitle = ({ state }, id) => state.images.find((image) => image.id === id)?.title ?? id;

/**
 * @param {Model} model
 * @param {InstanceView} instance
 */
function startingParts(model, instance) {
  const { state, ui, t, f } = model;
  const flavor = flavorOf(model, instance);
  const begun = Date.parse(instance.begun_at);
  const steps = instance.progress.length
    ? instance.progress
    : [{ at: instance.begun_at, percent: 0, text: t("waiting") }];
  const percent = instance.progress.at(-1)?.percent;
  const next = state.examples.find(({ id }) => id === ui.opening);
  return {
    title: t("starting_title"),
    lead: next ? t("example_waits", { title: next.title }) : flavor && resources(flavor, model),
    whole: !next,
    action: null,
    panel: [
      h("progress", { max: 100, value: percent ?? null, "aria-label": t("progress"), key: "bar" }),
      h(
        "ol", { class: "steps", "aria-live": "polite", key: "steps" },
        steps.map(({ at, text }, index) => {
          const done = index < steps.length - 1;
          const elapsed = Date.parse(at) - begun;
          return h(
            "li", { class: done ? "step done" : "step", key: `${index}-${at}` },
            h("span", { class: "step-mark" }, done && icon("check")),
            h("span", { class: "step-text" }, text),
            elapsed >= SHORTEST_MS && h("span", { class: "step-time" }, f.took(elapsed)),
          );
        }),
      ),
    ],
    rest: h(
      "button", { class: "button", type: "button", "data-action": "cancel", "aria-disabled": ui.busy ? "true" : null },
      t(ui.busy === "cancel" ? "cancelling" : "cancel"),
    ),
  };
}

/**
 * @param {string} name
 * @param {Child | Child[]} value
 */
export const fact = (name, value) => h("div", { class: "fact", key: name }, h("dt", {}, name), h("dd", {}, value));

/**
 * @param {Model} model
 * @param {InstanceView} instance
 */
function runningParts(model, instance) {
  const { ui, t, f, now } = model;
  const flavor = flavorOf(model, instance);
  const begun = Date.parse(instance.begun_at);
  const since = instance.usable_at ? Date.parse(instance.usable_at) : begun;
  const end = instance.ends_at ? Date.parse(instance.ends_at) : null;
  const soon = end !== null && end - now < SOON_MS;
  const disabled = ui.busy ? "true" : null;
  const hours = runningHours(flavor, model);
  return {
    title: t(instance.problem ? "renamed_title" : "running_title"),
    lead: instance.problem,
    whole: Boolean(instance.problem),
    action: instance.problem ? null : h(
      "a", { class: "button primary large", id: "open", href: instance.open_url, target: "_blank", rel: "noopener" },
      t("open"), icon("out"), h("span", { class: "sr-only" }, ` (${t("new_tab")})`),
    ),
    panel: [
      end !== null && h(
        "div", { class: soon ? "left soon" : "left", key: "left" },
        h("p", { class: "label" }, t("time_left")),
        h(
          "p", { class: "left-line" },
          h("span", { class: "left-time" }, f.duration((end - now) / 1000)),
          h("time", { class: "left-end", datetime: instance.ends_at }, t("ends_at", { time: f.clock(end, now) })),
        ),
        h("progress", { max: Math.max(1, end - since), value: Math.max(0, end - now), "aria-hidden": "true" }),
        soon && !instance.session?.notices.length && h("p", { class: "left-warning", role: "status" }, icon("warning"), h("span", {}, t(instance.session?.keeps_files ? "ends_soon_kept" : "ends_soon"))),
        ...sessionParts(model, instance),
      ),
      h(
        "dl", { class: "facts", key: "facts" },
        fact(t("type"), flavor ? [flavor.title, h("span", { class: "fact-more" }, resources(flavor, model, false))] : instance.flavor),
        fact(t("image"), imageTitle(model, instance.image)),
        fact(t("running_for"), f.duration((now - since) / 1000)),
        hours && fact(hours.name, hours.value),
        since > begun && fact(t("started_in"), f.took(since - begun)),
      ),
    ],
    rest: [
      instance.files_url && !instance.problem && h(
        "a", { class: "button", href: instance.files_url }, t("download_files"),
      ),
      h(
        "button", { class: "button", type: "button", "data-action": "restart", "aria-disabled": disabled },
        t(ui.busy === "restart" ? "restarting" : "restart"),
      ),
      h(
        "button", { class: "button", type: "button", "data-action": "stop", "aria-disabled": disabled },
        t(ui.busy === "stop" ? "stopping" : "stop"),
      ),
    ],
  };
}

/**
 * @param {Model} model
 * @param {InstanceView} instance
 */
function stoppingParts({ ui, t }, { ending }) {
  return {
    title: ending?.title ?? t("state_stopping"),
    lead: ui.switching || ui.asked ? t("switching_lead") : ending?.text,
    whole: true,
    action: null,
    panel: null,
    rest: null,
  };
}

/**
 * @param {Model} model
 * @param {InstanceView} instance
 */
export function instance(model, instance) {
  const { t } = model;
  const parts = instance.state === "running" ? runningParts(model, instance)
    : instance.state === "stopping" ? stoppingParts(model, instance)
      : startingParts(model, instance);
  return h(
    "section", { class: `hero is-${instance.state}`, key: "instance", "aria-labelledby": "title" },
    h(
      "div", { class: "hero-text" },
      h("p", { class: "status", key: "status" }, h("span", { class: "status-mark" }), t(`state_${instance.state}`)),
      h("h1", { id: "title", tabindex: -1, key: "title" }, parts.title),
      parts.lead && h("p", { class: parts.whole ? "lead whole" : "lead", key: "lead" }, parts.lead),
      parts.action && h("div", { class: "main-action", key: "action" }, parts.action),
    ),
    parts.panel && h("div", { class: "panel roomy", key: `panel-${instance.state}` }, parts.panel),
    parts.rest && h("div", { class: "rest", key: `rest-${instance.state}` }, parts.rest),
  );
}
