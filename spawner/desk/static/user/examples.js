/** The gallery of example notebooks. */

import { h } from "../shared/dom.js";
import { canQueue, canStart, chosenFlavor } from "./start.js";

/** @import { ExampleView, FlavorView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * @param {string} url   of the instance
 * @param {string} path  of the notebook, relative to the workspace
 */
export const notebookUrl = (url, path) => `${url}lab/tree/${path.split("/").map(encodeURIComponent).join("/")}`;

/**
 * What an example needs, in one line: "3 GB memory · 2 GB disk". Only what the flavor has too little of, if one is given.
 * @param {ExampleView} example
 * @param {FlavorView | undefined} flavor
 * @param {Model} model
 */
function needsOf({ needs }, flavor, { t, f }) {
  const { memory_bytes: memory, disk_bytes: disk, accelerator_memory_bytes: gpu } = needs;
  return [
    gpu !== null && (flavor?.accelerator?.memory_bytes ?? 0) < gpu && t("needs_gpu", { size: f.size(gpu) }),
    (flavor?.memory_bytes ?? 0) < memory && t("shape_memory", { size: f.size(memory) }),
    disk > 0 && (flavor?.disk_bytes ?? 0) < disk && t("shape_disk", { size: f.size(disk) }),
  ].filter(Boolean).join(" · ") || t("shape_memory", { size: f.size(memory) });
}

/**
 * Why the chosen flavor is not enough, and which ones are.
 * @param {ExampleView} example
 * @param {Model} model
 */
function tooSmall(example, model) {
  const { state: { flavors }, t } = model;
  const needs = needsOf(example, chosenFlavor(model), model);
  const fitting = flavors.filter((one) => example.fits.includes(one.id) && (canStart(one) || canQueue(one)));
  if (!fitting.length) return t("example_fits_none", { needs });
  return t("example_needs_more", { needs, types: fitting.map(({ title }) => title).join(" / ") });
}

/**
 * What is said beside the button: a download that comes first, or that the running notebook is too small.
 * @param {ExampleView} example
 * @param {Model} model
 */
function cautions(example, model) {
  const { state: { instance, flavors }, t, f } = model;
  const { download } = example;
  const running = flavors.find(({ id }) => id === instance?.flavor);
  return [
    running && !example.fits.includes(running.id)
      && t("example_needs_restart", { needs: needsOf(example, running, model) }),
    download && t(download.seconds === null ? "example_downloads" : "example_downloads_time", {
      models: download.models.join(" · "), size: f.size(download.bytes),
      time: download.seconds === null ? "" : f.about(download.seconds),
    }),
  ].filter(Boolean);
}

/**
 * The button or link that opens an example, or the reason why there is none.
 * @param {ExampleView} example
 * @param {Model} model
 */
function openControl(example, model) {
  const { state: { instance }, ui, t } = model;
  const blocked = (/** @type {string} */ text) => h("p", { class: "blocked", key: "why" }, text);
  if (!example.available) return blocked(example.reason || t("unavailable"));
  if (instance?.state === "stopping") return blocked(t("wait_for_wipe"));
  if (instance?.state !== "running" && ui.opening === example.id) {
    return blocked(t(instance || model.state.ticket ? "opens_when_ready" : "starting"));
  }

  const label = [t("open_example"), h("span", { class: "sr-only" }, ` ${example.title}`)];
  if (instance?.state === "running" && instance.image === example.image) {
    return h("a", { class: "button small", key: "go", href: notebookUrl(instance.url, example.path) }, label);
  }
  const flavor = chosenFlavor(model);
  if (!instance && flavor && !example.fits.includes(flavor.id)) return blocked(tooSmall(example, model));
  if (!instance && !(flavor && canStart(flavor))) {
    if (model.state.ticket) return blocked(t("in_line"));
    if (!(flavor && canQueue(flavor))) return blocked(flavor?.reason || t("stock_none"));
  }
  return h("button", {
    class: "button small", type: "button", key: "ask", "data-action": "example", "data-example": example.id,
    "aria-disabled": ui.busy ? "true" : null,
  }, label);
}

/** @param {Model} model */
export function examples(model) {
  const { state, t, f } = model;
  if (!state.examples.length) return null;
  return h(
    "section", { class: "examples", key: "examples", "aria-labelledby": "examples-title" },
    h("h2", { id: "examples-title" }, t("examples_title")),
    h("p", { class: "hint" }, t("examples_lead")),
    h(
      "ul", { class: "cards" },
      state.examples.map((example) => h(
        "li", { class: example.available ? "card" : "card off", key: example.id },
        example.icon
          ? h("img", { class: "card-icon", src: example.icon, alt: "", width: 40, height: 40, loading: "lazy" })
          : h("span", { class: "card-icon", "aria-hidden": "true" }, [...example.title][0]),
        h("h3", {}, example.title),
        example.summary && h("p", { class: "card-summary", key: "summary" }, example.summary),
        example.available && cautions(example, model).map(
          (text, place) => h("p", { class: "hint", key: `caution-${place}` }, text),
        ),
        h(
          "div", { class: "card-end", key: "end" },
          openControl(example, model),
          example.available && state.instance?.state !== "stopping" && example.seconds && h(
            "span", { class: "card-time", key: "time" }, t("about_time", { time: f.about(example.seconds) }),
          ),
        ),
      )),
    ),
  );
}
