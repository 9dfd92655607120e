/** Sentences of the extension, and how it writes times and sizes, in English and Simplified Chinese. */

const HOUR = 3600;
const DAY = 24 * HOUR;

const ENGLISH = {
  left: "{time} left",
  soon: "Less than a minute left",
  over: "Time is up",
  h: "{n} h",
  hm: "{h} h {m} min",
  m: "{n} min",
  panel: "Freepool: time and files",
  heading: "Your notebook",
  open_panel: "{status}. Open the Freepool panel.",
  connecting: "Connecting…",
  not_connected: "Not connected, trying again…",
  lost_title: "Connection lost. Trying again…",
  lost_text: "Your notebook may still be running. Keep this page open: it reconnects automatically.",
  back: "The connection is back.",
  away: "The platform is not responding right now. Your notebook keeps running.",
  ended_short: "Ended",
  time: "Time",
  ends: "Ends {time}",
  extend: "Extend by {time}",
  extend_left: "Can be extended {n} more times.",
  extend_once: "Can be extended once more.",
  extended: "Extended: {left}.",
  extending: "Extending…",
  failed: "That did not work: the notebook is not responding. Try again.",
  allowance: "{title} hours",
  allowance_left: "{left} of {total} left this week",
  allowance_any: "No weekly limit",
  allowance_item: "{title} {left} left",
  held: "{time} set aside for this notebook",
  resets: "Resets {time}",
  usage: "In use",
  memory: "Memory",
  disk: "Disk",
  cpu: "CPU",
  used: "{used} of {limit}",
  used_only: "{used}",
  cpu_used: "{used} of {limit} CPU",
  files: "Files",
  wiped: "When this notebook ends, all its files are deleted. Download what you need.",
  wiped_kept: "When this notebook reaches its time limit, is idle, or is stopped by an administrator or for maintenance, its changed files are kept, up to the limit. If you stop or restart it, all are deleted.",
  download: "Download all files",
  desk: "Open the home page",
  report: "Report a problem",
  notify: "Show messages as browser notifications",
  notify_on: "Browser notifications are on.",
  notify_off: "Browser notifications are blocked in this browser's settings.",
  messages: "Messages",
  title_text: "{title}: {text}",
  title_sentence: "{title} {text}",
  kernel_ended: "Out of memory: the kernel of {kernel} was ended ({used}). Only its variables are lost.",
  disk_full: "Disk full ({used}): saving may fail. Delete files or the folder .cache. A larger machine type has more disk.",
  save_elsewhere: "Save to Git or a bucket…",
  share: "Share the open file",
  share_selected: "Share with a Link or Badge…",
  share_nothing: "Open a file first.",
  share_local: "Only files in a public Git repository can be shared by a link. Push this one first.",
  apps: "Apps",
  apps_none: "No app is running. Start one in a notebook or terminal, listening on 127.0.0.1, and it appears here.",
  apps_off_admin: "The administrator has turned off apps on ports.",
  apps_off_loopback: "Apps on ports are off: notebooks share this machine's network, so a port may be another user's.",
  apps_same_origin: "On this platform apps share JupyterLab's address: open only those that you trust. They cannot be shared.",
  app_open: "Open",
  app_open_named: "Open the app on port {port}",
  app_port: "Port",
  app_open_port: "Open this port",
  app_share: "Share {port}",
  app_link: "Link to the app",
  app_link_text: "Anybody who has this link can use the app on port {port}, until {time} and no longer than this notebook.",
  app_copy: "Copy the link",
  app_shared: "Port {port} is shared until {time}. Connections now: {n}.",
  app_revoke: "Stop sharing {port}",
  app_revoked: "The link was revoked and does not work any more.",
  app_not_shared: "The link could not be created. If you share many apps, stop sharing one and try again.",
  app_tile: "Start {title} and open its page",
  copied: "Copied.",
  copy_by_hand: "Copy it from here.",
  programs: "Other programs",
  program_copy: "Copy address and token for VS Code",
  program_address: "Address with a token",
  program_until: "It opens this notebook only, until {time} or until the notebook ends. Whoever has it can do here what you can.",
  program_revoke: "Revoke all tokens",
  program_revoked: "The tokens were revoked and do not work any more.",
  act_extend: "Extend",
  act_still_here: "I'm still here",
  act_open_desk: "Home page",
  act_download: "Download",
  end_title: "This notebook has ended",
  replaced_title: "A new notebook has replaced this one",
  replaced_text: "You restarted it or switched to another one, in another tab or on the home page. Its files were deleted.",
  next_started: "You have started another one since.",
  end_wiped: "Variables in memory are gone.",
  end_documents: "This page still has these documents. Save them to your computer:",
  unsaved: "not saved",
  end_none: "There are no open documents to save.",
  open_new: "Open the new notebook",
  new_starting: "The new notebook is starting…",
  start_again: "Start the same again…",
  start_again_hint: "Opens the home page with the same machine type and image chosen. Nothing starts before you press Start there.",
  stay: "Stay on this page",
  shut_down_wipes: "All files of this notebook are deleted when it is shut down: nothing is kept.",
};

/** @typedef {keyof typeof ENGLISH} Key */

/** @type {Record<Key, string>} */
const CHINESE = {
  left: "剩余 {time}",
  soon: "剩余不到 1 分钟",
  over: "时间已到",
  h: "{n} 小时",
  hm: "{h} 小时 {m} 分钟",
  m: "{n} 分钟",
  panel: "Freepool：时间与文件",
  heading: "当前 Notebook",
  open_panel: "{status}。打开 Freepool 面板。",
  connecting: "正在连接…",
  not_connected: "连接已断开，正在重试…",
  lost_title: "连接已断开，正在重试…",
  lost_text: "Notebook 可能仍在运行。请保持此页面打开，恢复连接后会自动继续。",
  back: "连接已恢复。",
  away: "平台暂时没有响应，Notebook 不受影响。",
  ended_short: "已结束",
  time: "时间",
  ends: "{time} 结束",
  extend: "延长 {time}",
  extend_left: "还可延长 {n} 次。",
  extend_once: "还可延长 1 次。",
  extended: "已延长：{left}。",
  extending: "正在延长…",
  failed: "操作失败：Notebook 没有响应，请重试。",
  allowance: "{title} 时长",
  allowance_left: "本周剩余 {left}（共 {total}）",
  allowance_any: "每周不限时长",
  allowance_item: "{title} 剩余 {left}",
  held: "已为此 Notebook 预留 {time}",
  resets: "{time} 重置",
  usage: "资源占用",
  memory: "内存",
  disk: "磁盘",
  cpu: "CPU",
  used: "{used} / {limit}",
  used_only: "{used}",
  cpu_used: "{used} / {limit} 核",
  files: "文件",
  wiped: "Notebook 结束时，其中的文件会全部删除。请下载需要的内容。",
  wiped_kept: "到达时限、闲置，或因维护、由管理员停止时，会在上限内保留有改动的文件；由你停止或重启时，文件会全部删除。",
  download: "下载全部文件",
  desk: "打开首页",
  report: "报告问题",
  notify: "用浏览器通知显示消息",
  notify_on: "浏览器通知已开启。",
  notify_off: "浏览器设置已禁止通知。",
  messages: "消息",
  title_text: "{title}：{text}",
  title_sentence: "{title}{text}",
  kernel_ended: "内存不足：{kernel} 的内核已被终止（{used}）。只有其变量丢失。",
  disk_full: "磁盘已满（{used}），可能无法保存文件。请删除文件或 .cache 文件夹；更大的机器规格磁盘也更大。",
  save_elsewhere: "保存到 Git 或存储桶…",
  share: "分享打开的文件",
  share_selected: "用链接或徽章分享…",
  share_nothing: "请先打开一个文件。",
  share_local: "只有公开 Git 仓库中的文件可以通过链接分享。请先推送此文件。",
  apps: "应用",
  apps_none: "没有正在运行的应用。在 Notebook 或终端中启动应用（监听 127.0.0.1），它会显示在这里。",
  apps_off_admin: "管理员已关闭端口应用功能。",
  apps_off_loopback: "端口应用不可用：各 Notebook 共用此机器的网络，端口可能属于其他用户。",
  apps_same_origin: "在此平台上，应用与 JupyterLab 使用同一地址：请只打开你信任的应用。应用无法分享。",
  app_open: "打开",
  app_open_named: "打开端口 {port} 上的应用",
  app_port: "端口",
  app_open_port: "打开此端口",
  app_share: "分享 {port}",
  app_link: "应用链接",
  app_link_text: "任何拥有此链接的人都可以使用端口 {port} 上的应用，有效期至 {time}，且不超过此 Notebook 的运行时间。",
  app_copy: "复制链接",
  app_shared: "端口 {port} 已分享，有效期至 {time}。当前连接数：{n}。",
  app_revoke: "停止分享 {port}",
  app_revoked: "链接已撤销，不再有效。",
  app_not_shared: "无法创建链接。如果分享的应用较多，请先停止分享其中一个，再重试。",
  app_tile: "启动 {title} 并打开其页面",
  copied: "已复制。",
  copy_by_hand: "请手动复制。",
  programs: "其他程序",
  program_copy: "复制用于 VS Code 的地址和令牌",
  program_address: "带令牌的地址",
  program_until: "它只能打开此 Notebook，有效期至 {time} 或 Notebook 结束。持有者可在此执行你能执行的一切操作。",
  program_revoke: "撤销所有令牌",
  program_revoked: "令牌已撤销，不再有效。",
  act_extend: "延长",
  act_still_here: "我还在",
  act_open_desk: "首页",
  act_download: "下载文件",
  end_title: "此 Notebook 已结束",
  replaced_title: "此 Notebook 已被新的 Notebook 取代",
  replaced_text: "你在其他标签页或首页上重启了它，或切换到了其他 Notebook。它的文件已删除。",
  next_started: "你之后又启动了一个 Notebook。",
  end_wiped: "内存中的变量已丢失。",
  end_documents: "此页面还保留着以下文档，可以保存到你的电脑：",
  unsaved: "未保存",
  end_none: "此页面没有可保存的已打开文档。",
  open_new: "打开新的 Notebook",
  new_starting: "新的 Notebook 正在启动…",
  start_again: "按相同配置重新开始…",
  start_again_hint: "会打开首页，并选好相同的机器规格和镜像。在那里点击“启动”之前，不会启动任何内容。",
  stay: "留在此页面",
  shut_down_wipes: "关闭后，此 Notebook 的文件会全部删除，不会保留。",
};

/**
 * Ours that fits JupyterLab's language; where it has none, the browser's counts.
 * @param {string} lab  such as "zh-CN", "en" or ""
 * @param {string} browser  such as "zh-CN"
 * @returns {"en" | "zh-CN"}
 */
export function languageOf(lab, browser) {
  const wanted = lab && !/^default/i.test(lab) ? lab : browser;
  return /^zh/i.test(wanted) ? "zh-CN" : "en";
}

/** @param {"en" | "zh-CN"} language */
export function texts(language) {
  const sentences = language === "zh-CN" ? CHINESE : ENGLISH;

  /**
   * @param {Key} key
   * @param {Record<string, string | number>} [params]
   */
  const say = (key, params = {}) => sentences[key].replace(/\{(\w+)\}/g, (_, name) => String(params[name] ?? ""));

  /** @param {number} seconds  rounded down to minutes */
  function duration(seconds) {
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return say("m", { n: minutes });
    const [h, m] = [Math.floor(minutes / 60), minutes % 60];
    return m ? say("hm", { h, m }) : say("h", { n: h });
  }

  /** @param {number} seconds */
  function left(seconds) {
    if (seconds <= 0) return say("over");
    return seconds < 60 ? say("soon") : say("left", { time: duration(seconds) });
  }

  /**
   * A time in the reader's zone, with the zone's name and, unless it is today, the day.
   * @param {number} time  ms
   * @param {number} now  ms
   */
  function at(time, now) {
    const isNear = Math.abs(time - now) < DAY * 1000 && new Date(time).getDate() === new Date(now).getDate();
    const day = isNear ? {} : /** @type {const} */ ({ weekday: "short", month: "short", day: "numeric" });
    const clock = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const zone = new Intl.DateTimeFormat(language, { timeZoneName: "short" }).formatToParts(time)
      .find(({ type }) => type === "timeZoneName")?.value;
    return `${new Intl.DateTimeFormat(language, { ...day, ...clock }).format(time)} (${zone})`;
  }

  /** @param {number} bytes */
  function size(bytes) {
    const gb = bytes / 2 ** 30;
    const [n, unit] = gb >= 1 ? [gb.toFixed(1).replace(/\.0$/, ""), "GB"] : [Math.round(bytes / 2 ** 20), "MB"];
    return `${n} ${unit}`;
  }

  return { language, say, duration, left, at, size };
}

/** @typedef {ReturnType<typeof texts>} Texts */
