/** The gallery of example notebooks. */

import { h } from "../shared/dom.js";
import { flavorFor, needsOf, whyNot } from "./fit.js";
import { isMissing } from "./missing.js";

/** @import { ExampleView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * @param {string} url   of the instance
 * @param {string} path  of the notebook, relative to the workspace
 */
export const notebookUrl = (url, path) => {
  const tree = path.split("/").map(encodeURIComponent).join("/");
  return `${url}lab/tree/${tree}?language=${document.documentElement.lang}`;
};

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
  if (!instance && !flavorFor(example, model)) return blocked(whyNot(example, model));
  return h("button", {
    class: "button small", type: "button", key: "ask", "data-action": "example", "data-example": example.id,
    "aria-disabled": ui.busy ? "true" : null,
  }, label);
}

/** @param {Model} model */
export function examples(model) {
  const { state, t, f } = model;
  const shown = state.examples.filter((example) => !isMissing(example));
  if (!shown.length) return null;
  return h(
    "section", { class: "examples", key: "examples", "aria-labelledby": "examples-title" },
    h("h2", { id: "examples-title" }, t("examples_title")),
    h("p", { class: "hint" }, t("examples_lead")),
    h(
      "ul", { class: "cards" },
      shown.map((example) => h(
        "li", { class: example.available ? "card" : "card off", key: example.id },
        example.icon
          ? h("img", { class: "card-icon", src: example.icon, alt: "", width: 40, height: 40, loading: "lazy" })
          : h("span", { class: "card-icon", "aria-hidden": "true" }, [...example.title][0]),
        h("h3", {}, example.title),
        example.summary && h("p", { class: "card-summary", key: "summary" }, example.summary),
        example.available && cautions(example, model).map(
          (text, place) => h("p", { class: "hint", key: `caution-${place}` }, text),
        ),
        example.available && state.instance?.state !== "stopping" && example.seconds && h(
          "p", { class: "card-time", key: "time" }, t("about_time", { time: f.about(example.seconds) }),
        ),
        h(
          "div", { class: "card-end", key: "end" },
          openControl(example, model),
          h(
            "a", { class: "card-share", key: "share", href: `open/badge?example=${encodeURIComponent(example.id)}` },
            t("share"), h("span", { class: "sr-only" }, ` ${example.title}`),
          ),
        ),
      )),
    ),
  );
}
